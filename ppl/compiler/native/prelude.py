"""What emitted functions may name without defining it: intrinsics, the C library, helpers of ours in IR."""

from __future__ import annotations

from .libm import ARITY

# math's name -> (LLVM's intrinsic, arguments): each is an instruction or two on every machine.
INTRINSICS = {
    "sqrt": ("llvm.sqrt.f64", 1),
    "floor": ("llvm.floor.f64", 1),
    "ceil": ("llvm.ceil.f64", 1),
    "trunc": ("llvm.trunc.f64", 1),
    "fabs": ("llvm.fabs.f64", 1),
    "copysign": ("llvm.copysign.f64", 2),
    "fma": ("llvm.fma.f64", 3),
    "muladd": ("llvm.fmuladd.f64", 3),
    "round_even": ("llvm.roundeven.f64", 1),
}

# math's name -> the C library's, where they differ.
C_NAMES = {"gamma": "tgamma"}

# Symbols that LLVM may call by itself: loops that copy or clear, and operations a machine lacks.
IMPLICIT = ("memcpy", "memmove", "memset", "fmod", "floor", "ceil", "trunc", "roundeven", "fma")

_MULTIPLE = {
    # Rounded down. LLVM's division is undefined for a divisor of 0, and for the least integer over -1: both
    # divide by 1 instead. a // 0 is 0 and a % 0 is a here, where Python raises.
    "ppl.floordiv.i64": """
define internal i64 @ppl.floordiv.i64(i64 %a, i64 %b) alwaysinline nounwind willreturn memory(none) {
  %b.1 = add i64 %b, 1
  %edge = icmp ult i64 %b.1, 2
  %d = select i1 %edge, i64 1, i64 %b
  %q = sdiv i64 %a, %d
  %r = srem i64 %a, %d
  %exact = icmp eq i64 %r, 0
  %signs = xor i64 %r, %d
  %differ = icmp slt i64 %signs, 0
  %less = add i64 %q, -1
  %keep = xor i1 %differ, true
  %as.is = or i1 %exact, %keep
  %down = select i1 %as.is, i64 %q, i64 %less
  %zero = icmp eq i64 %b, 0
  %minus = sub i64 0, %a
  %special = select i1 %zero, i64 0, i64 %minus
  %result = select i1 %edge, i64 %special, i64 %down
  ret i64 %result
}
""",
    "ppl.mod.i64": """
define internal i64 @ppl.mod.i64(i64 %a, i64 %b) alwaysinline nounwind willreturn memory(none) {
  %b.1 = add i64 %b, 1
  %edge = icmp ult i64 %b.1, 2
  %d = select i1 %edge, i64 1, i64 %b
  %r = srem i64 %a, %d
  %exact = icmp eq i64 %r, 0
  %signs = xor i64 %r, %d
  %differ = icmp slt i64 %signs, 0
  %more = add i64 %r, %d
  %keep = xor i1 %differ, true
  %as.is = or i1 %exact, %keep
  %up = select i1 %as.is, i64 %r, i64 %more
  %zero = icmp eq i64 %b, 0
  %special = select i1 %zero, i64 %a, i64 0
  %result = select i1 %edge, i64 %special, i64 %up
  ret i64 %result
}
""",
    # As Python's float % and //: the remainder of C's fmod, moved to the divisor's sign.
    "ppl.mod.f64": """
define internal double @ppl.mod.f64(double %a, double %b) alwaysinline nounwind willreturn memory(none) {
  %r = frem double %a, %b
  %zero = fcmp oeq double %r, 0.0
  %negative.r = fcmp olt double %r, 0.0
  %negative.b = fcmp olt double %b, 0.0
  %differ = xor i1 %negative.r, %negative.b
  %moved = fadd double %r, %b
  %other = select i1 %differ, double %moved, double %r
  %signed = call double @llvm.copysign.f64(double %r, double %b)
  %result = select i1 %zero, double %signed, double %other
  ret double %result
}
declare double @llvm.copysign.f64(double, double)
""",
    "ppl.floordiv.f64": """
define internal double @ppl.floordiv.f64(double %a, double %b) alwaysinline nounwind willreturn memory(none) {
  %r = frem double %a, %b
  %difference = fsub double %a, %r
  %quotient = fdiv double %difference, %b
  %nonzero = fcmp une double %r, 0.0
  %negative.r = fcmp olt double %r, 0.0
  %negative.b = fcmp olt double %b, 0.0
  %differ = xor i1 %negative.r, %negative.b
  %lower = and i1 %nonzero, %differ
  %less = fsub double %quotient, 1.0
  %down = select i1 %lower, double %less, double %quotient
  %floor = call double @llvm.floor.f64(double %down)
  %rest = fsub double %down, %floor
  %above = fcmp ogt double %rest, 0.5
  %next = fadd double %floor, 1.0
  %rounded = select i1 %above, double %next, double %floor
  %plain = fdiv double %a, %b
  %signed = call double @llvm.copysign.f64(double 0.0, double %plain)
  %zero = fcmp oeq double %down, 0.0
  %result = select i1 %zero, double %signed, double %rounded
  ret double %result
}
declare double @llvm.copysign.f64(double, double)
declare double @llvm.floor.f64(double)
""",
}
_ONE = {
    "llvm.abs.i64": "declare i64 @llvm.abs.i64(i64, i1)",
}


def text(names: list[str]) -> str:
    """Declarations and definitions of these names, and of what they name, once each."""
    lines: dict[str, None] = {}
    bodies = []
    for name in names:
        if name in _MULTIPLE:
            body = _MULTIPLE[name].strip().split("\n")
            bodies.append("\n".join(line for line in body if not line.startswith("declare")))
            lines.update(dict.fromkeys(line for line in body if line.startswith("declare")))
        else:
            lines[_ONE.get(name) or _declaration(name)] = None
    return "\n".join([*lines, *bodies])


def _declaration(name: str) -> str:
    """Of an intrinsic or a function of the C library, all of doubles. C's may set errno; nobody reads it."""
    arity = next((count for known, count in INTRINSICS.values() if known == name), None)
    inside = ", ".join(["double"] * (ARITY[name] if arity is None else arity))
    return f"declare double @{name}({inside})" + ("" if arity else " nounwind willreturn memory(none)")
