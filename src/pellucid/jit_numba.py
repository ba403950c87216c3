"""From a program's text to object code: all that depends on Numba's internals is here.

Numba types and lowers each function to LLVM's language. From there on it goes its own way: the
functions are linked unoptimised, hidden behind one entry, optimised once, and emitted once.
"""

from __future__ import annotations

import gc
import itertools
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import CodeType
from typing import Any

import llvmlite.binding as llvm
import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, codegen
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher, CPUTarget, cpu_target
from numba.core.runtime import rtsys
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from pellucid.jit import FAILED, PLAIN, SYMBOL, Argument, CompileError, Unit

INT64, INT8 = ir.IntType(64), ir.IntType(8)

# NaN and infinity must stay what they are in all of them: never "nnan", "ninf", "fast".
MATH = {"contract", "nsz"}
FOREIGN = ("py", "nrt_", "numba", "zn")  # _ZN: a function of Numba's that was not linked
SUMS = {"contract", "nsz", "reassoc", "arcp"}


class Library(codegen.AOTCodeLibrary):  # type: ignore[misc]
    """The functions of a program, linked but not optimised: that is done once, at the end."""

    def add_linking_library(self, library: Any) -> None:
        """Link another library, but for Numba's runtime: a program allocates nothing."""
        if library is not rtsys.library:
            codegen.AOTCodeLibrary.add_linking_library(self, library)

    def _optimize_functions(self, module: Any) -> None:
        module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        pass

    def get_pointer_to_function(self, name: str) -> int:
        """Return no address, for nothing here is called from Python."""
        return 0


class Codegen(codegen.AOTCPUCodegen):  # type: ignore[misc]
    """Make object code for this processor that may lie at any address."""

    _library_class = Library

    def set_env(self, name: str, env: Any) -> None:
        """Leave Python's environment out, for nothing here calls Python."""


class Target(CPUTarget):  # type: ignore[misc]
    """Numba's own target with our way of making code; Numba's stays as it is for others."""

    @property
    def typing_context(self) -> Any:
        """Return what finds the types: Numba's own, for making another takes 0.1 s."""
        return cpu_target.typing_context

    @property
    def target_context(self) -> Any:
        """Return what lowers the functions."""
        return _context()


@cache
def _context() -> Any:
    """Return what lowers the functions; to be called with Numba's lock held."""
    made = Codegen("pellucid", "host")
    return cpu_target.target_context.subtarget(_internal_codegen=made, aot_mode=True)


class Dispatcher(CPUDispatcher):  # type: ignore[misc]
    """A function of a program."""

    targetdescr = Target("cpu")

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """Type a call by its arguments' types, not once more for every literal number.

        LLVM sees the numbers all the same, where the function is inlined.
        """
        plain = {name: types.unliteral(kind) for name, kind in kws.items()}
        return CPUDispatcher.get_call_template(self, tuple(map(types.unliteral, args)), plain)


# -- the words of a program ----------------------------------------------------------------------


def _decorator(fastmath: set[str], inline: bool = False) -> Callable[..., Any]:
    """Return a decorator, which also takes options: @loops(noalias=True, forceinline=True)."""
    options = {
        "nopython": True,
        "_nrt": False,
        "nogil": True,
        "boundscheck": False,
        "error_model": "numpy",
        "no_cpython_wrapper": True,
        "no_cfunc_wrapper": True,
    }

    def decorate(function: Any = None, *, noalias: bool = False, forceinline: bool = inline) -> Any:
        if function is None:
            return lambda given: decorate(given, noalias=noalias, forceinline=forceinline)
        chosen = options | {"fastmath": fastmath, "forceinline": forceinline}
        made = Dispatcher(function, {}, chosen)

        def customize(flags: Any) -> Any:
            flags.noalias = noalias  # Numba knows it, but has no option for it
            return flags

        made._compiler._customize_flags = customize
        return made

    return decorate


def _data(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Return the pointer to the first element of an array, or a pointer as it is."""
    return (
        make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
    )


def _array(context: Any, builder: Any, kind: Any, data: Any, shape: list[Any]) -> Any:
    """Return a C-contiguous array over memory that nobody counts."""
    size = context.get_abi_sizeof(context.get_data_type(kind.dtype))
    strides = [ir.Constant(INT64, size)]
    for length in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], length))
    array = make_array(kind)(context, builder)
    populate_array(array, data, shape, strides[: len(shape)], size, None)
    return array._getvalue()


def _is_memory(kind: Any) -> bool:
    return isinstance(kind, (types.Array, types.CPointer))


@intrinsic  # type: ignore[untyped-decorator]
def address(typingctx: Any, array: Any, offset: Any) -> Any:
    """Point to an element of an array, counted in its flat order."""
    if not (_is_memory(array) and isinstance(offset, types.Integer)):
        return None

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.gep(_data(context, builder, array, args[0]), [args[1]])

    return types.CPointer(array.dtype)(array, types.intp), lower


def _control(kind: str) -> Any:
    """Make a word that reads (stmxcsr) or sets (ldmxcsr) how x86 rounds; elsewhere it is idle."""

    def word(typingctx: Any, value: Any) -> Any:
        def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            number = ir.IntType(32)
            spot = cgutils.alloca_once_value(builder, builder.trunc(args[0], number))
            if "x86" in llvm.get_process_triple():
                form = ir.FunctionType(ir.VoidType(), [INT8.as_pointer()])
                name = f"llvm.x86.sse.{kind}"
                call = cgutils.get_or_insert_function(builder.module, form, name)
                builder.call(call, [builder.bitcast(spot, INT8.as_pointer())])
            return builder.zext(builder.load(spot), INT64)

        return types.int64(types.int64), lower

    word.__name__ = kind
    return intrinsic(word)


_LOW, _HIGH = range(4), range(4, 8)
# What is taken of two rows of 8, in the three rounds that turn a square: pairs, fours, halves.
_ROUNDS = (
    ((0, 8, 1, 9, 4, 12, 5, 13), (2, 10, 3, 11, 6, 14, 7, 15)),
    ((0, 1, 8, 9, 4, 5, 12, 13), (2, 3, 10, 11, 6, 7, 14, 15)),
    ((*_LOW, *(8 + k for k in _LOW)), (*_HIGH, *(8 + k for k in _HIGH))),
)


@intrinsic  # type: ignore[untyped-decorator]
def turn(typingctx: Any, c: Any, at: Any, row: Any, b: Any, start: Any, line: Any) -> Any:
    """Write a square of 8 by 8 transposed, in registers: from `start` in b, to `at` in c.

    c[at + j * row + i] = b[start + i * line + j], both in flat order.
    """
    if not (_is_memory(c) and _is_memory(b) and c.dtype == b.dtype):
        return None
    i = types.intp

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to, at, row, source, start, line = args
        number = context.get_data_type(b.dtype)
        size = context.get_abi_sizeof(number)
        kind = ir.VectorType(number, 8).as_pointer()

        def place(data: Any, first: Any, step: Any, k: int) -> Any:
            spot = builder.add(first, builder.mul(step, ir.Constant(INT64, k)))
            return builder.bitcast(builder.gep(data, [spot]), kind)

        inside, outside = _data(context, builder, b, source), _data(context, builder, c, to)
        rows = [builder.load(place(inside, start, line, k), align=size) for k in range(8)]
        for k, column in enumerate(_turned(builder, rows)):
            builder.store(column, place(outside, at, row, k), align=size)
        return context.get_dummy_value()

    return types.void(c, i, i, b, i, i), lower


def _turned(builder: Any, rows: list[Any]) -> list[Any]:
    """Return the columns of a square of 8 rows."""

    def mixed(a: Any, b: Any, order: Any) -> Any:
        mask = ir.Constant(ir.VectorType(ir.IntType(32), 8), list(order))
        return builder.shuffle_vector(a, b, mask)

    pairs, fours, halves = _ROUNDS
    p = [mixed(rows[k], rows[k + 1], order) for k in (0, 2, 4, 6) for order in pairs]
    f = [mixed(p[k], p[k + 2], order) for k in (0, 1, 4, 5) for order in fours]
    return [mixed(f[k], f[k + 4], order) for order in halves for k in range(4)]


def _view(array: Any, shape: Any) -> tuple[Any, Any, Callable[..., Any]]:
    """Return the types of an array and of its lengths, and how it is made of a pointer."""
    several = isinstance(shape, types.BaseTuple)
    lengths = types.UniTuple(types.intp, len(shape)) if several else types.intp
    kind = types.Array(array.dtype, len(shape) if several else 1, "C")

    def lower(context: Any, builder: Any, data: Any, shape: Any) -> Any:
        given = cgutils.unpack_tuple(builder, shape) if several else [shape]
        return _array(context, builder, kind, data, given)

    return kind, lengths, lower


@intrinsic  # type: ignore[untyped-decorator]
def part(typingctx: Any, array: Any, offset: Any, shape: Any) -> Any:
    """See a stretch of an array, from an offset in its flat order, as an array of a shape."""
    if not (_is_memory(array) and isinstance(offset, types.Integer)):
        return None
    kind, lengths, view = _view(array, shape)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = builder.gep(_data(context, builder, array, args[0]), [args[1]])
        return view(context, builder, data, args[2])

    return kind(array, types.intp, lengths), lower


@intrinsic  # type: ignore[untyped-decorator]
def select(typingctx: Any, condition: Any, a: Any, b: Any) -> Any:
    """Choose between two numbers without a branch, which compiles faster than `a if c else b`."""
    kind = typingctx.unify_types(types.unliteral(a), types.unliteral(b))
    if not (isinstance(condition, types.Boolean) and isinstance(kind, types.Number)):
        return None

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.select(*args)

    return kind(types.boolean, kind, kind), lower


@intrinsic  # type: ignore[untyped-decorator]
def carray(typingctx: Any, pointer: Any, shape: Any) -> Any:
    """See the memory at a pointer as an array of a shape."""
    if not isinstance(pointer, types.CPointer):
        return None
    kind, lengths, view = _view(pointer, shape)

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return view(context, builder, args[0], args[1])

    return kind(pointer, lengths), lower


def _gemm(name: str, dtype: Any) -> Any:
    """Make C = alpha op(A) op(B) + beta C of row-major matrices, which BLAS sees transposed."""

    def gemm(typingctx: Any, ta: Any, tb: Any, m: Any, n: Any, k: Any, alpha: Any, a: Any,
             lda: Any, b: Any, ldb: Any, beta: Any, c: Any, ldc: Any) -> Any:  # fmt: skip
        if not all(_is_memory(x) and x.dtype == dtype for x in (a, b, c)):
            return None
        i = types.intp
        return types.void(i, i, i, i, i, dtype, a, i, b, i, dtype, c, i), lower

    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def place(value: Any) -> Any:  # on the stack: BLAS takes everything by address
            return builder.bitcast(cgutils.alloca_once_value(builder, value), INT8.as_pointer())

        def letter(flag: Any) -> Any:
            is_set = builder.icmp_signed("!=", flag, ir.Constant(INT64, 0))
            return place(builder.select(is_set, INT8(ord("T")), INT8(ord("N"))))

        def memory(index: int) -> Any:
            data = _data(context, builder, signature.args[index], args[index])
            return builder.bitcast(data, INT8.as_pointer())

        ta, tb, m, n, k, alpha, _, lda, _, ldb, beta, _, ldc = args
        given = [letter(tb), letter(ta), place(n), place(m), place(k), place(alpha)]
        given += [memory(8), place(ldb), memory(6), place(lda), place(beta)]
        given += [memory(11), place(ldc)]
        kind = ir.FunctionType(ir.VoidType(), [INT8.as_pointer()] * len(given))
        symbol = cgutils.get_or_insert_function(builder.module, kind, f"pellucid_{name}")
        builder.call(symbol, given)
        return context.get_dummy_value()

    gemm.__name__ = name
    return intrinsic(gemm)


@cache
def _words() -> dict[str, Any]:
    return {
        "__name__": "pellucid_program",
        "np": np,
        "kernel": _decorator(MATH, inline=True),  # a call would keep a loop from vectors
        "exact": _decorator(set()),
        "loops": _decorator(SUMS),
        "address": address,
        "part": part,
        "select": select,
        "turn": turn,
        "float_mode": _control("stmxcsr"),
        "set_float_mode": _control("ldmxcsr"),
        "carray": carray,
        "sgemm": _gemm("sgemm", types.float32),
        "dgemm": _gemm("dgemm", types.float64),
    }


# -- one entry, one module -----------------------------------------------------------------------


def object_code(unit: Unit, code: CodeType) -> bytes:
    """Return the object code of a program, in which one function alone can be seen."""
    with global_compiler_lock, _quiet():
        scope = dict(_words())
        exec(code, scope)
        kinds = tuple(map(_kind, unit.arguments))
        scope[unit.entry].compile(kinds)
        result = scope[unit.entry].overloads[kinds]
        result.library._ensure_finalized()
        module = result.library._final_module
        module.link_in(llvm.parse_assembly(_entry(result.fndesc, kinds)))
        for item in (*module.functions, *module.global_variables):
            if not item.is_declaration and item.name != SYMBOL:
                item.linkage = "internal"  # so that it can be inlined, and then left out
        machine = _machine()
        _optimise(module, machine)
        _check(unit, module)
        return bytes(machine.emit_object(module))


@contextmanager
def _quiet() -> Iterator[None]:
    """Show none of Numba's warnings, and collect no garbage: that took 6% of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if collecting:
            gc.enable()


def _kind(argument: Argument) -> Any:
    kind = numba.from_dtype(argument.dtype)
    return kind if argument.shape is None else types.Array(kind, len(argument.shape), "C")


def _entry(described: Any, kinds: tuple[Any, ...]) -> str:
    """Return the LLVM text of the C function that reads the arguments from eight-byte slots."""
    context = _context()
    module = context.create_module(SYMBOL)
    function = ir.Function(module, ir.FunctionType(INT64, [INT64.as_pointer()]), SYMBOL)
    builder = ir.IRBuilder(function.append_basic_block())
    slots = itertools.count()

    def slot(kind: Any) -> Any:
        place = builder.gep(function.args[0], [INT64(next(slots))])
        return builder.bitcast(place, kind.as_pointer())

    def value(kind: Any) -> Any:
        if not isinstance(kind, types.Array):
            return context.unpack_value(builder, kind, slot(context.get_data_type(kind)))
        data = builder.load(slot(context.get_data_type(kind.dtype).as_pointer()))
        shape = [builder.load(slot(INT64)) for _ in range(kind.ndim)]
        return _array(context, builder, kind, data, shape)

    callee = context.declare_function(module, described)
    status, out = context.call_conv.call_function(
        builder, callee, described.restype, described.argtypes, [value(kind) for kind in kinds]
    )
    nothing = described.restype == types.none
    out = INT64(0) if nothing else context.cast(builder, out, described.restype, types.int64)
    builder.ret(builder.select(status.is_error, INT64(FAILED), out))
    return str(module)


def _machine() -> Any:
    return llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="pic",
        codemodel="default",
    )


def _optimise(module: Any, machine: Any) -> None:
    """Optimise a little, then fully: 30 ms more than fully at once, for loops 8% faster."""
    for level in (1, 3):
        tuning = llvm.create_pipeline_tuning_options(level)
        tuning.loop_vectorization = tuning.slp_vectorization = True
        builder = llvm.create_pass_builder(machine, tuning)
        builder.getModulePassManager().run(module, builder)


def _check(unit: Unit, module: Any) -> None:
    """Refuse code that would call into Python or Numba, or that holds addresses of this process."""
    items = [*module.functions, *module.global_variables]
    names = {item.name for item in items if item.is_declaration}
    names |= {item.name for item in items if item.name.startswith("numba.dynamic")}
    foreign = sorted(name for name in names if name.lstrip("._").lower().startswith(FOREIGN))
    if foreign:
        raise CompileError(f"{unit.entry} needs {', '.join(foreign)}", PLAIN)
