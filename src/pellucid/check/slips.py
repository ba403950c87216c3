"""The classic slips of a backward pass: each a rewrite of one piece of the right gradient graph.

Slip   its code, what happened, the remedy, and the forms in which it is met      SLIPS  all of them
Fault  a form at one layer

The order is that of likelihood: where two explain the same numbers, the earlier is named first.
"""
# fmt: off

from __future__ import annotations

from dataclasses import dataclass

from pellucid import ops
from pellucid.check.forms import (
    USUAL_RATES,
    Form,
    at,
    batch,
    bias_penalty,
    column,
    curved,
    early,
    halved,
    input_of_other,
    is_stale,
    loss_by,
    mask_of_other,
    masked,
    matrix,
    old_error,
    one_output,
    one_score,
    outputs,
    plain,
    slope_by,
    slope_of_other,
    softmax,
    spread,
    spread_over,
    square,
    times_input,
    times_weights,
    turned,
    two,
    weights_of_other,
    wide,
)


@dataclass(frozen=True, eq=False)
class Slip:
    """A slip by its code: what went wrong, how to mend it, and its forms."""

    code: str
    says: str
    fix: str
    forms: tuple[Form, ...]


@dataclass(frozen=True, eq=False)
class Fault:
    """A form of a slip at one layer, counted from 1."""

    slip: Slip
    form: Form
    layer: int
    piece: str

    def at(self, layer: int, piece: str) -> bool:
        """Say whether it stands there."""
        return (self.layer, self.piece) == (layer, piece)


# -- the table ---------------------------------------------------------------------------------

SLIPS = [
    Slip("stale-cache",
         "a value of an earlier forward pass is used",
         "store X, z and a anew in every forward pass, and read no other",
         (at("slope", lambda p, r: p.slope(p.block.act, p.old.z, p.g), "act'(z of before)",
             is_stale),
          at("weight", lambda p, r: p.old.x.T @ p.delta, "(input of before)ᵀ δ", is_stale),
          at("pass", lambda p, r: p.delta @ p.old.W.T, "δ (W of before)ᵀ", is_stale),
          at("error", lambda p, r: old_error(p, True, True), "∂L/∂ŷ of the batch before", is_stale),
          at("error", lambda p, r: old_error(p, True, False), "ŷ of before against y", is_stale),
          at("error", lambda p, r: old_error(p, False, True), "ŷ against y of before", is_stale))),
    Slip("accumulated",
         "the gradient of the call before is still in it",
         "set the gradients to zero before each backward pass: = rather than +=",
         (at("weight", lambda p, r: r + p.dW_before, "+= in place of =",
             lambda p: p.dW_before is not None),
          at("bias", lambda p, r: r + p.db_before, "+= in place of =",
             lambda p: p.db_before is not None))),
    Slip("sign",
         "the gradient has the wrong sign: a step would climb",
         "take ŷ - y, or add instead of subtract, but not both",
         (at("error weight bias slope pass", lambda p, r: -r, "-1 times what is right",
             printed=True),)),
    Slip("missing-output-mean",
         "the loss is averaged over the outputs too, the gradient is not",
         "divide by the number of elements, y.size, as the loss does",
         (at("error weight bias", lambda p, r: r * p.outputs, "not divided by outputs", wide),)),
    Slip("missing-half",
         "the loss has a ½, its gradient a factor 2 that the ½ should have taken away",
         "leave out the 2: the derivative of ½(ŷ - y)² is ŷ - y",
         (at("error", lambda p, r: 2 * r, "2(ŷ - y), not ŷ - y", halved, True),
          at("penalty", lambda p, r: 2 * r, "2λW, not λW"))),
    Slip("factor-two",
         "a factor of 2 is missing, or is there twice",
         "the derivative of (ŷ - y)² is 2(ŷ - y): one 2, and once",
         (at("error weight bias slope pass", lambda p, r: r / 2, "½ of what is right",
             printed=True),
          at("error weight bias slope pass", lambda p, r: 2 * r, "2 times what is right"),
          at("penalty", lambda p, r: 2 * r, "2λW, not λW"),
          at("penalty", lambda p, r: r / 2, "λW/2, not λW"))),
    Slip("bias-averaged",
         "the bias gradient is averaged over the samples, though δ has its 1/n already",
         "sum it: db = np.sum(delta, axis=0)",
         (at("bias", lambda p, r: p.delta.mean(axis=0), "mean(δ), not Σδ", batch, True),
          at("bias", lambda p, r: p.delta.mean() + 0 * p.b, "the mean of all of δ", batch))),
    Slip("missing-batch-mean",
         "the gradient is a sum over the samples, the loss a mean",
         "divide by the number of samples, once: delta = (a - y) / n",
         (at("error", lambda p, r: r * p.n, "not divided by n", batch, True),
          at("weight bias slope pass", lambda p, r: r * p.n, "not divided by n", batch))),
    Slip("double-batch-mean",
         "the gradient is divided by the number of samples twice",
         "divide by n once: in the first δ, or in dW and db, but not in both",
         (at("weight", lambda p, r: r / p.n, "divided by n again", batch, True),
          at("error bias slope pass", lambda p, r: r / p.n, "divided by n again", batch))),
    Slip("bias-not-summed",
         "the bias gradient is not summed over the samples, and only over them",
         "db = np.sum(delta, axis=0), one number for each unit",
         (at("bias", lambda p, r: p.delta, "δ itself", batch),
          at("bias", lambda p, r: p.delta[0], "δ of the first sample", batch, True),
          at("bias", lambda p, r: p.delta[-1], "δ of the last sample", batch),
          at("bias", lambda p, r: p.delta.sum(axis=1), "summed over the units"),
          at("bias", lambda p, r: p.delta.mean(axis=1), "averaged over the units"),
          at("bias", lambda p, r: p.delta.sum() + 0 * p.b, "the sum of all of δ"))),
    Slip("derivative-at-activation",
         "the slope is taken at a, where it belongs at z",
         "act'(z); from a only by a formula in a: a(1 - a) for σ, 1 - a² for tanh",
         (at("slope", lambda p, r: p.slope(p.block.act, p.a, p.g), "act'(a), not act'(z)",
             curved, True),
          at("slope", lambda p, r: p.g * p.z * (1 - p.z), "z(1 - z), not a(1 - a)",
             lambda p: p.block.activation == "sigmoid"),
          at("slope", lambda p, r: p.g * (1 - p.z * p.z), "1 - z², not 1 - a²",
             lambda p: p.block.activation == "tanh"),
          at("slope", lambda p, r: p.slope(p.block.act, p.x, p.g), "act'(x), not act'(z)",
             lambda p: curved(p) and not masked(p) and p.x.shape == p.z.shape))),
    Slip("missing-softmax-jacobian",
         "what arrives at the softmax is passed on as if it had no derivative",
         "δ = a (g - Σ g a); only with cross-entropy does it all come to ŷ - y",
         (at("slope", lambda p, r: p.g, "δ = ∂L/∂a", softmax, True),
          at("slope", lambda p, r: p.g * p.a * (1 - p.a), "only the diagonal of the Jacobian",
             softmax),
          at("slope", lambda p, r: p.g * p.a, "only a of the Jacobian", softmax))),
    Slip("wrong-loss",
         "the gradient is that of another loss",
         "differentiate the loss that is measured; ŷ - y belongs to σ with cross-entropy",
         (loss_by("bce", plain, "the gradient of cross-entropy: ŷ - y"),
          loss_by("bce", outputs, "the gradient of cross-entropy: ŷ - y"),
          loss_by("cce", plain, "the gradient of cross-entropy: ŷ - y"),
          loss_by("half_mse", plain, "the gradient of ½(ŷ - y)²"),
          loss_by("half_mse", outputs, "the gradient of ½(ŷ - y)²"),
          loss_by("mse", plain, "the gradient of (ŷ - y)²"),
          loss_by("mse", outputs, "the gradient of (ŷ - y)²"),
          loss_by("mae", plain, "the gradient of |ŷ - y|"),
          loss_by("mae", outputs, "the gradient of |ŷ - y|"),
          at("error", lambda p, r: -p.y / p.a / p.n, "only -y/ŷ",
             lambda p: p.loss.name == "bce"),
          at("error", lambda p, r: r / p.outputs, "averaged over the outputs, too", wide))),
    Slip("missing-derivative",
         "the slope of the activation is left out",
         "δ = ∂L/∂a · act'(z): at every layer that has an activation",
         (at("slope", lambda p, r: p.g, "δ = ∂L/∂a", curved, True),)),
    Slip("wrong-mask",
         "the slope is taken at another layer, or at 0 where it should not be",
         "δ = ∂L/∂a where z > 0 of this layer, 0 elsewhere",
         (at("slope", lambda p, r: p.g * (p.z >= 0), "z ≥ 0, not z > 0", masked),
          *(mask_of_other(k, part, way)
            for k, way in ((1, "one layer up"), (-1, "one layer down"),
                           (2, "two layers up"), (-2, "two layers down"))
            for part in ("z", "a")),
          at("slope", lambda p, r: p.g * (p.x > 0), "the mask of the layer's input",
             lambda p: masked(p) and p.x.shape == p.z.shape),
          at("slope", lambda p, r: p.g * (p.g > 0), "where the gradient is positive", masked, True),
          at("slope", lambda p, r: p.g * (p.z < 0), "z < 0, not z > 0", masked, True),
          at("slope", lambda p, r: p.g * (p.z <= 0), "z ≤ 0, not z > 0", masked),
          at("slope", lambda p, r: p.g * (p.z > 1), "z > 1, not z > 0", masked),
          *(slope_of_other(k) for k in (1, -1, 2, -2)))),
    Slip("wrong-activation",
         "the slope is that of another activation",
         "take the derivative of the function that the forward pass uses",
         (*(slope_by(name) for name in ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "softplus",
                                        "swish", "gelu", "selu")),
          at("slope", lambda p, r: p.g * p.a * (1 - p.a), "a(1 - a), which is σ's",
             lambda p: curved(p) and p.block.activation != "sigmoid", True),
          at("slope", lambda p, r: p.g * (1 - p.a * p.a), "1 - a², which is tanh's",
             lambda p: curved(p) and p.block.activation != "tanh", True),
          at("slope", lambda p, r: p.g * (p.a > 0), "the mask a > 0, which is ReLU's",
             lambda p: curved(p) and p.block.activation not in ("sigmoid", "softplus")),
          at("slope", lambda p, r: p.g * (1 - p.a), "1 - a", curved),
          at("slope", lambda p, r: p.g * p.a, "a", curved),
          at("slope", lambda p, r: p.g * (p.a * p.a), "a²", curved),
          at("slope", lambda p, r: p.g * (1 + p.a * p.a), "1 + a²", curved),
          at("slope", lambda p, r: p.g * p.a * (1 + p.a), "a(1 + a)", curved),
          at("slope", lambda p, r: p.g * ops.where(p.z > 0, 1.0, 0.1), "0.1 where z < 0", curved),
          at("slope", lambda p, r: p.g * ops.where(p.z > 0, 1.0, 0.2), "0.2 where z < 0", curved))),
    Slip("transpose",
         "a matrix is not transposed, or is reshaped instead, or transposed where it should not be",
         "dW = xᵀ δ and ∂L/∂x = δ Wᵀ, for rows of samples",
         (at("pass", lambda p, r: p.delta @ p.W, "δ W, not δ Wᵀ", square, True),
          at("pass", lambda p, r: p.delta @ turned(p.W), "W reshaped, not transposed",
             matrix),
          at("pass", lambda p, r: p.delta @ turned(p.W.T).T, "W reshaped, not transposed",
             matrix),
          at("weight", lambda p, r: r.T, "(xᵀ δ)ᵀ = δᵀ x, not xᵀ δ"),
          at("weight", lambda p, r: p.x @ p.delta, "x δ, not xᵀ δ",
             lambda p: p.x.shape[0] == p.x.shape[1]),
          at("weight", lambda p, r: turned(p.x) @ p.delta, "x reshaped, not transposed"),
          at("weight", lambda p, r: turned(p.x.T).T @ p.delta, "x reshaped, not transposed"),
          at("weight", lambda p, r: turned(r.T), "dW reshaped, not transposed",
             matrix))),
    Slip("updated-too-early",
         "the weights were already updated when they were used to pass the gradient on",
         "compute every gradient before the first update",
         (at("pass", lambda p, r: p.delta @ (p.W - p.rate * p.dW).T, "δ (W - rate·dW)ᵀ",
             lambda p: p.rate is not None and p.dW is not None),
          *(early(rate) for rate in USUAL_RATES))),
    Slip("regularization-missing",
         "the loss has a penalty on the weights, the gradient has not",
         "add λW to dW",
         (at("penalty", lambda p, r: 0 * r, "without λW", printed=True),)),
    Slip("regularization-on-bias",
         "the bias is penalized, too, and the loss does not do that",
         "leave λb out of db",
         (at("bias", bias_penalty, "with λb"),
          at("bias", lambda p, r: None if bias_penalty(p, r) is None
             else r + (bias_penalty(p, r) - r) / p.n, "with λb/n", batch))),
    Slip("wrong-delta",
         "the gradient of another place is used",
         "dW and db of a layer are made of its own input and its own δ; ∂L/∂x of its own δ",
         (at("weight", lambda p, r: p.x.T @ p.g, "xᵀ ∂L/∂a, not xᵀ δ"),
          at("bias", lambda p, r: p.g.sum(axis=0), "Σ ∂L/∂a, not Σ δ"),
          at("pass", lambda p, r: p.g @ p.W.T, "∂L/∂a Wᵀ, not δ Wᵀ",
             lambda p: p.block.act is not None, True),
          *(weights_of_other(k) for k in (-1, 1, -2, 2)),
          at("pass", lambda p, r: p.delta + 0 * p.x, "δ without the weights",
             lambda p: p.delta.shape[-1] in (1, p.x.shape[-1])),
          at("pass", lambda p, r: p.delta.sum(axis=1, keepdims=True) + 0 * p.x,
             "δ without the weights"),
          at("weight", lambda p, r: p.x.T @ p.above.delta, "δ of the layer above",
             lambda p: p.above is not None),
          at("bias", lambda p, r: p.above.delta.sum(axis=0), "Σ δ of the layer above",
             lambda p: p.above is not None),
          at("slope", lambda p, r: p.slope(p.block.act, p.z, p.above.delta),
             "δ of the layer above, as it is", lambda p: p.above is not None),
          at("pass", lambda p, r: p.above.delta @ p.W.T, "δ of the layer above",
             lambda p: p.above is not None),
          at("weight", lambda p, r: p.all_layers[p.number - 2].z.T @ p.delta,
             "z of the layer below, not its a", lambda p: p.number > 1),
          at("weight", lambda p, r: p.a.T @ p.delta, "the layer's output, not its input",
             lambda p: p.a.shape == p.x.shape),
          *(input_of_other(k) for k in (-1, 1, -2, 2)),
          at("weight", lambda p, r: ops.ones_like(p.x).T @ p.delta, "without the input"))),
    Slip("elementwise-product",
         "* stands where @ belongs",
         "use a matrix product: np.dot or @",
         (times_weights(lambda p: p.delta * p.W.T),
          times_weights(lambda p: p.delta * p.W),
          times_weights(lambda p: p.delta.sum(axis=1, keepdims=True) * p.W.sum(axis=1), "Σδ * ΣW"),
          times_weights(lambda p: p.delta.sum(axis=1, keepdims=True) * p.W.mean(axis=1)),
          times_weights(lambda p: p.delta.mean(axis=1, keepdims=True) * p.W.mean(axis=1)),
          times_weights(lambda p: p.delta.mean(axis=1, keepdims=True) * p.W.sum(axis=1)),
          times_input(lambda p: (p.x * p.delta).sum(axis=0)),
          times_input(lambda p: (p.x * p.delta).mean(axis=0)),
          times_input(lambda p: column((p.x * p.delta).sum(axis=0))),
          times_input(lambda p: column((p.x * p.delta).mean(axis=0))),
          times_input(lambda p: (p.x * p.delta).sum()),
          times_input(lambda p: p.x * p.delta),
          times_input(lambda p: p.x.T * p.delta),
          times_input(lambda p: column(p.x.sum(axis=0)) * p.delta.sum(axis=0)),
          times_input(lambda p: column(p.x.mean(axis=0)) * p.delta.mean(axis=0)),
          times_input(lambda p: column(p.x.mean(axis=0)) * p.delta.sum(axis=0)))),
    Slip("broadcast",
         "(n, 1) against (n,) became (n, n): every prediction met every target",
         "give both the same shape: y.reshape(-1, 1)",
         (*(spread_over(piece, axis, mean) for piece in ("error", "slope")
            for axis in (1, 0) for mean in (False, True)),
          at("error", lambda p, r: two(p) * spread(p) / p.n, "ŷ - y is (n, n)", one_output),
          at("error", lambda p, r: two(p) * spread(p) / p.n / p.n, "ŷ - y is (n, n)", one_output),
          at("error", lambda p, r: two(p) * spread(p).mean() / p.n + 0 * p.a, "the mean of ŷ - y",
             one_output),
          at("slope", lambda p, r: spread(p) / p.n, "ŷ - y is (n, n)", one_score),
          at("slope", lambda p, r: spread(p) / p.n / p.n, "ŷ - y is (n, n)", one_score))),
]
BY_CODE = {slip.code: slip for slip in SLIPS}


def is_factor(form: Form) -> bool:
    """Say whether the form multiplies whatever stands there, right or wrong."""
    return "error" in form.pieces and "slope" in form.pieces


def forms(piece: str) -> list[tuple[Slip, Form]]:
    """Return every form that can stand at a piece, likeliest first."""
    return [(slip, form) for slip in SLIPS for form in slip.forms if piece in form.pieces]
