"""This machine as LLVM sees it: optimising IR, machine code, and loading that where there are no images.

llvmlite is imported when first needed. LLVM is used under one lock; the loaded code runs without it.
"""

from __future__ import annotations

import gc
import itertools
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from . import libm
from .image import Loaded
from .prelude import IMPLICIT

_LOCK = threading.RLock()
_NUMBER = itertools.count()

# Of code generation, and of LLVM's passes: for these, levels 2 and 3 take up to twice as long for code that is no faster.
OPTIMISATION = 2
PASSES = 1


@dataclass(frozen=True)
class Host:
    """What machine code depends on beside the IR: the processor, and the version of LLVM."""

    triple: str
    cpu: str
    features: str
    versions: str

    def __str__(self) -> str:
        return "\0".join((self.triple, self.cpu, self.features, self.versions))


@cache
def host() -> Host:
    llvm = _llvm()
    import llvmlite

    return Host(
        llvm.get_process_triple(),
        llvm.get_host_cpu_name(),
        llvm.get_host_cpu_features().flatten(),
        f"{llvmlite.__version__} {llvm.llvm_version_info}",
    )


@cache
def _llvm() -> Any:
    """llvmlite's binding, made ready for this machine."""
    collecting = gc.isenabled()
    gc.disable()  # an import makes no garbage, but sets off searches for it among all that torch has made: 0.1 s
    try:
        import llvmlite.binding as llvm
    finally:
        if collecting:
            gc.enable()

    with _LOCK:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        llvm.initialize_native_asmparser()
    return llvm


@cache
def _target_machine() -> Any:
    """Position-independent code that reaches its constants by short offsets; the loader builds the long
    jumps to the C library.
    """
    this = host()
    target = _llvm().Target.from_triple(this.triple)
    return target.create_target_machine(
        cpu=this.cpu, features=this.features, opt=OPTIMISATION, reloc="pic", codemodel="small"
    )


def _optimised(ir: str, vectorise: bool) -> Any:
    llvm, machine = _llvm(), _target_machine()
    module = llvm.parse_assembly(ir, llvm.create_context())
    module.triple = host().triple
    module.data_layout = str(machine.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=PASSES)
    options.loop_vectorization = options.loop_unrolling = True
    # Vectors out of straight-line code: a tenth of the compile time, and not measurably faster.
    options.slp_vectorization = False
    builder = llvm.create_pass_builder(machine, options)
    passes = builder.getModulePassManager() if vectorise else _few_passes()
    passes.run(module, builder)
    return module


def _few_passes() -> Any:
    """For code without long loops, which is written as it is to run. A Kalman filter of small matrices takes a
    hundredth of the time in these, and no longer in the code generator; what comes out is as fast.
    """
    passes = _llvm().create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_simplify_cfg_pass()
    return passes


def object_code(ir: str, vectorise: bool = True) -> bytes:
    """Machine code of a module, as an object file. Where nothing is vectorised, few passes are run."""
    with _LOCK:
        return _target_machine().emit_object(_optimised(ir, vectorise))


def optimised(ir: str, vectorise: bool = True) -> str:
    """A module after LLVM's passes."""
    with _LOCK:
        return str(_optimised(ir, vectorise))


def assembly(ir: str, vectorise: bool = True) -> str:
    """A module's machine code in words."""
    with _LOCK:
        return _target_machine().emit_assembly(_optimised(ir, vectorise))


@cache
def _jit() -> Any:
    return _llvm().create_lljit_compiler(_target_machine(), use_jit_link=True)


@cache
def _outside() -> tuple[tuple[str, int], ...]:
    """What code may call outside itself: (name, address) of the C library's functions that there are."""
    names = dict.fromkeys((*libm.ARITY, *IMPLICIT))
    return tuple((name, address) for name in names if (address := libm.address(name)))


def load(code: bytes, symbols: Iterable[str]) -> Loaded:
    """Put an object file into memory, linked with the C library: for those that have no image."""
    with _LOCK:
        builder = _llvm().JITLibraryBuilder().add_object_img(code).add_current_process()
        for name, address in _outside():
            builder.import_symbol(name, address)
        for symbol in symbols:
            builder.export_symbol(symbol)
        tracker = builder.link(_jit(), f"ppl.{next(_NUMBER)}")
        return Loaded({symbol: tracker[symbol] for symbol in symbols}, tracker)
