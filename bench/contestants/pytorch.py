"""PyTorch, as one who knows it would write it: tensors all along, no synchronisation by step."""

from __future__ import annotations

import torch
from torch import nn

from bench.choices import CHOICES
from bench.jobs import Array, Job, Weights


class Eager:
    """`nn.Sequential`, the optimizer as it comes."""

    flag = ""

    def __init__(self, job: Job, X: Array, y: Array, threads: int) -> None:
        torch.set_num_threads(threads)
        self.job, self.notes = job, list[str]()
        self.X, self.y = torch.from_numpy(X), torch.from_numpy(y)
        dtype = getattr(torch, job.dtype)
        hidden = nn.ReLU if job.hidden == "relu" else nn.Sigmoid
        layers: list[nn.Module] = []
        for inputs, outputs in zip(job.sizes, job.sizes[1:], strict=False):
            layers += [nn.Linear(inputs, outputs, dtype=dtype), hidden()]
        layers[-1:] = [nn.Sigmoid()] if job.loss == "mse" else []
        self.model = nn.Sequential(*layers)
        self.criterion = nn.MSELoss() if job.loss == "mse" else nn.CrossEntropyLoss()
        choice, flags = CHOICES[job.optimizer], {self.flag: True} if self.flag else {}
        parameters = list(self.model.parameters())
        self.optimizer = choice.theirs(torch, parameters, job.learning_rate, **flags)
        schedules = torch.optim.lr_scheduler
        self.schedule = choice.scheduler(schedules, self.optimizer) if choice.scheduler else None
        self.step = self._searched if choice.whole else self._step
        self.loss_of, self.outputs = self._loss, self._outputs

    def _loss(self, X: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.criterion(self.model(X), y)

    def _outputs(self, X: torch.Tensor) -> torch.Tensor:
        found = self.model(X)
        return found if self.job.loss == "mse" else found.softmax(dim=1)

    def prepare(self, epochs: int) -> None:
        """Nothing depends on the number of epochs."""

    def start_over(self, weights: Weights) -> None:
        linear = (layer for layer in self.model if isinstance(layer, nn.Linear))
        with torch.no_grad():
            for layer, (W, b) in zip(linear, weights, strict=True):
                layer.weight.copy_(torch.from_numpy(W).T)
                layer.bias.copy_(torch.from_numpy(b))

    def train(self, epochs: int) -> None:
        for _ in range(epochs):
            if self.job.shuffle:
                for index in torch.randperm(self.job.rows).split(self.job.batch):
                    loss = self.step(self.X[index], self.y[index])
            else:
                loss = self.step(self.X, self.y)
            loss.item()  # for a log by epoch; nothing waits within one

    def _step(self, X: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss_of(X, y)
        loss.backward()
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        return loss

    def _searched(self, X: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Let the optimizer ask for the loss where it wants to."""

        def loss() -> torch.Tensor:
            self.optimizer.zero_grad(set_to_none=True)
            found = self.loss_of(X, y)
            found.backward()
            return found

        return self.optimizer.step(loss)

    def weights(self) -> Weights:
        linear = [layer for layer in self.model if isinstance(layer, nn.Linear)]
        return [(x.weight.detach().numpy().T, x.bias.detach().numpy()) for x in linear]

    def give(self, X: Array) -> None:
        self.rows = torch.from_numpy(X)

    def predict(self) -> None:
        with torch.inference_mode():
            self.outputs(self.rows)


class Fused(Eager):
    """With the flag that computes the update in one pass."""

    flag = "fused"


class ForEach(Eager):
    """With the flag that updates all tensors in one call for each operation."""

    flag = "foreach"


class Compiled(Eager):
    """Forward, loss and their gradient through torch.compile; the fused optimizer."""

    flag = "fused"

    def __init__(self, job: Job, X: Array, y: Array, threads: int) -> None:
        super().__init__(job, X, y, threads)
        self.loss_of = torch.compile(self._loss, dynamic=False)
        self.outputs = torch.compile(self._outputs, dynamic=False)
