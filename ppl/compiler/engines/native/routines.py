"""Loops that generated code calls: factorisation, triangular systems, running sums, places of extremes.

Arrays are row-major. `outer`, `n` and `inner` are the sizes before, of and after the axis that is worked along.
"""

from __future__ import annotations

from ppl.compiler.native import Floats, f64, i64, math, native, select, short_range


@native
def cholesky(a: Floats, out: Floats, n: i64) -> i64:
    """The lower factor L of A = L Lᵀ (n × n, its lower triangle is read), column by column, four rows at a time. nan
    everywhere and the result 1 where A is not positive definite.
    """
    for j in range(n):
        pivot = a[j * n + j]
        for k in range(j):
            pivot -= out[j * n + k] * out[j * n + k]
        if not pivot > 0.0:
            for k in range(n * n):
                out[k] = math.nan
            return 1
        diagonal = math.sqrt(pivot)
        out[j * n + j] = diagonal
        for i in range(j):
            out[i * n + j] = 0.0
        fours = (n - j - 1) // 4
        for four in range(fours):
            i = (j + 1 + 4 * four) * n
            s0 = a[i + j]
            s1 = a[i + n + j]
            s2 = a[i + 2 * n + j]
            s3 = a[i + 3 * n + j]
            for k in short_range(j):
                x = out[j * n + k]
                s0 -= out[i + k] * x
                s1 -= out[i + n + k] * x
                s2 -= out[i + 2 * n + k] * x
                s3 -= out[i + 3 * n + k] * x
            out[i + j] = s0 / diagonal
            out[i + n + j] = s1 / diagonal
            out[i + 2 * n + j] = s2 / diagonal
            out[i + 3 * n + j] = s3 / diagonal
        for i in range(j + 1 + 4 * fours, n):
            rest = a[i * n + j]
            for k in range(j):
                rest -= out[i * n + k] * out[j * n + k]
            out[i * n + j] = rest / diagonal
    return 0


@native(inline=False)
def take_rows(a: Floats, out: Floats, i: i64, first: i64, count: i64, n: i64, m: i64) -> None:
    """Subtract from row i of X the rows `first` to `first + count`, each times its element of row i of A; four rows
    at a time.
    """
    fours = count // 4
    for four in range(fours):
        k = first + 4 * four
        f0 = a[i * n + k]
        f1 = a[i * n + k + 1]
        f2 = a[i * n + k + 2]
        f3 = a[i * n + k + 3]
        x = k * m
        for c in short_range(m):
            out[i * m + c] -= (
                f0 * out[x + c] + f1 * out[x + m + c] + f2 * out[x + 2 * m + c] + f3 * out[x + 3 * m + c]
            )
    for k in range(first + 4 * fours, first + count):
        factor = a[i * n + k]
        for c in range(m):
            out[i * m + c] -= factor * out[k * m + c]


@native(inline=False)
def solve_lower(a: Floats, b: Floats, out: Floats, n: i64, m: i64, unit: bool) -> None:
    """X with A X = B for a lower triangular A (n × n), B and X (n × m): forward substitution."""
    for i in range(n):
        for c in range(m):
            out[i * m + c] = b[i * m + c]
        take_rows(a, out, i, 0, i, n, m)
        if not unit:
            diagonal = a[i * n + i]
            for c in range(m):
                out[i * m + c] = out[i * m + c] / diagonal


@native(inline=False)
def solve_upper(a: Floats, b: Floats, out: Floats, n: i64, m: i64, unit: bool) -> None:
    """X with A X = B for an upper triangular A: back substitution."""
    for step in range(n):
        i = n - 1 - step
        for c in range(m):
            out[i * m + c] = b[i * m + c]
        take_rows(a, out, i, i + 1, step, n, m)
        if not unit:
            diagonal = a[i * n + i]
            for c in range(m):
                out[i * m + c] = out[i * m + c] / diagonal


@native(inline=False)
def eliminate(a: Floats, b: Floats, n: i64, m: i64) -> f64:
    """Gaussian elimination with partial pivoting, in place: A (n × n) becomes upper triangular, B (n × m) goes with
    it. Returns the sign of A's determinant, 0 where A is singular.
    """
    sign = 1.0
    for k in range(n):
        place = k
        for i in range(k + 1, n):
            if math.fabs(a[i * n + k]) > math.fabs(a[place * n + k]):
                place = i
        pivot = a[place * n + k]
        if pivot == 0.0 or pivot != pivot:
            return 0.0
        if pivot < 0.0:
            sign = -sign
        if place != k:
            sign = -sign
            for j in range(k, n):
                x = a[k * n + j]
                a[k * n + j] = a[place * n + j]
                a[place * n + j] = x
            for c in range(m):
                y = b[k * m + c]
                b[k * m + c] = b[place * m + c]
                b[place * m + c] = y
        for i in range(k + 1, n):
            factor = a[i * n + k] / pivot
            for j in range(k + 1, n):
                a[i * n + j] -= factor * a[k * n + j]
            for c in range(m):
                b[i * m + c] -= factor * b[k * m + c]
    return sign


@native
def solve_any(a: Floats, b: Floats, out: Floats, n: i64, m: i64) -> None:
    """X with A X = B for any A (n × n); nan everywhere where it is singular. A and B are used up."""
    if eliminate(a, b, n, m) == 0.0:
        for i in range(n * m):
            out[i] = math.nan
    else:
        solve_upper(a, b, out, n, m, False)


@native
def log_abs_det(a: Floats, unused: Floats, n: i64) -> f64:
    """log |det A|, −∞ where A is singular. A is used up."""
    if eliminate(a, unused, n, 0) == 0.0:
        return -math.inf
    total = 0.0
    for k in range(n):
        total += math.log(math.fabs(a[k * n + k]))
    return total


@native
def det_sign(a: Floats, unused: Floats, n: i64) -> f64:
    """The sign of det A. A is used up."""
    return eliminate(a, unused, n, 0)


@native
def running_sum(a: Floats, outer: i64, n: i64, inner: i64) -> None:
    """In place: a[k] becomes a[0] + … + a[k]."""
    for o in range(outer):
        for k in range(1, n):
            at = (o * n + k) * inner
            for i in range(inner):
                a[at + i] += a[at - inner + i]


@native
def running_product(a: Floats, outer: i64, n: i64, inner: i64) -> None:
    """In place: a[k] becomes a[0] · … · a[k]."""
    for o in range(outer):
        for k in range(1, n):
            at = (o * n + k) * inner
            for i in range(inner):
                a[at + i] = a[at + i] * a[at - inner + i]


@native
def running_logsumexp(a: Floats, outer: i64, n: i64, inner: i64) -> None:
    """In place: a[k] becomes log(exp a[0] + … + exp a[k])."""
    for o in range(outer):
        for k in range(1, n):
            at = (o * n + k) * inner
            for i in range(inner):
                old = a[at - inner + i]
                new = a[at + i]
                top = select((old > new) | (old != old), old, new)
                low = select((old > new) | (old != old), new, old)
                gap = select(top == low, 0.0, low - top)  # equal infinities differ by nan
                a[at + i] = top + math.log1p(math.exp(gap))


@native
def place_of_extreme(a: Floats, out: Floats, outer: i64, n: i64, inner: i64, sign: f64) -> None:
    """The first place of the largest element (sign 1) or the smallest (sign −1); nan counts as beyond all."""
    for o in range(outer):
        for i in range(inner):
            best = sign * a[o * n * inner + i]
            place = 0
            for k in range(1, n):
                value = sign * a[(o * n + k) * inner + i]
                if value > best or (value != value and best == best):
                    best = value
                    place = k
            out[o * inner + i] = float(place)


@native
def order_of(a: Floats, out: Floats, outer: i64, n: i64, inner: i64, sign: f64) -> None:
    """The stable order that sorts along the axis, rising for sign 1, falling for −1, nan last (rising) or first:
    insertion sort, for short axes.
    """
    for o in range(outer):
        for i in range(inner):
            base = o * n * inner + i
            for k in range(n):
                value = sign * a[base + k * inner]
                at = k
                while at > 0:
                    before = sign * a[base + int(out[base + (at - 1) * inner]) * inner]
                    later = before > value or (sign > 0.0 and before != before and value == value)
                    if sign < 0.0 and value != value and before == before:
                        later = True
                    if not later:
                        break
                    out[base + at * inner] = out[base + (at - 1) * inner]
                    at -= 1
                out[base + at * inner] = float(k)


ROUTINES = {
    r.name: r
    for r in (
        cholesky,
        solve_lower,
        solve_upper,
        solve_any,
        log_abs_det,
        det_sign,
        running_sum,
        running_product,
        running_logsumexp,
        place_of_extreme,
        order_of,
    )
}
