"""Modified Bessel functions of the first kind, of order 0 and 1.

Below 8 a polynomial in x²/4, like the power series; above, sqrt(x) exp(-x) I(x) is one in 16/x - 1. Nothing
branches.
"""

from __future__ import annotations

from ppl.compiler.native import f64, math, native, select

from .exponential import exp, exp_scaled
from .polynomials import poly_16, poly_24


@native(exact=True, inline=True)
def i0_small(t: f64) -> f64:
    """I0(x) at t = x²/4 for |x| <= 8 (`i0_small` in tests/compiler/native/minimax.py: 3e-17)."""
    return poly_16(
        t,
        1.0,
        1.0,
        0.2500000000000001,
        0.027777777777777565,
        0.0017361111111113758,
        6.944444444424399e-05,
        1.9290123457790406e-06,
        3.936759885673581e-08,
        6.151187413177668e-10,
        7.594056846699174e-12,
        7.594079950279469e-14,
        6.275862820937522e-16,
        4.3600362269175774e-18,
        2.5698743857514957e-20,
        1.35095827969477e-22,
        4.940670282542572e-25,
        3.6454386812677436e-27,
    )


@native(exact=True, inline=True)
def i1_small(t: f64) -> f64:
    """I1(x)/x at t = x²/4 for |x| <= 8 (`i1_small` in minimax.py: 1e-17)."""
    return poly_16(
        t,
        0.5,
        0.25,
        0.04166666666666667,
        0.0034722222222222164,
        0.0001736111111111183,
        5.787037037031587e-06,
        1.3778659612264924e-07,
        2.460474929770153e-09,
        3.417326316154766e-11,
        3.7970287838556324e-13,
        3.451850596478968e-15,
        2.61497440972266e-17,
        1.6767521603667608e-19,
        9.185784328456186e-22,
        4.481903304500602e-24,
        1.5795348772797387e-26,
        1.0451756649154198e-28,
    )


@native(exact=True, inline=True)
def i0_large(c: f64) -> f64:
    """sqrt(x) exp(-x) I0(x) at c = 16/x - 1 for x >= 8 (`i0_large` in minimax.py: 7e-17)."""
    return poly_24(
        c,
        0.4021765094450081,
        0.003360551983667854,
        0.00013621607439232746,
        1.1143033791556743e-05,
        1.4838475473607391e-06,
        2.973598432479169e-07,
        8.87225351128584e-08,
        3.932602459703109e-08,
        2.1545177650836005e-08,
        7.553516470355896e-09,
        -6.729724111923548e-09,
        -1.3404241991980871e-08,
        -5.4685974495866e-09,
        7.540601378890834e-09,
        7.58022133915272e-09,
        -3.4857887470034955e-09,
        -6.188265090497361e-09,
        1.497880830187091e-09,
        3.881151253996067e-09,
        -5.562201990080394e-10,
        -1.7789375042917173e-09,
        1.4672236659214398e-10,
        5.181936971288284e-10,
        -1.9216763724933513e-11,
        -7.06893851181878e-11,
    )


@native(exact=True, inline=True)
def i1_large(c: f64) -> f64:
    """sqrt(x) exp(-x) I1(x) at c = 16/x - 1 for x >= 8 (`i1_large` in minimax.py: 2e-17)."""
    return poly_24(
        c,
        0.38939845902587233,
        -0.009749577193235728,
        -0.00021923576383430274,
        -1.5038547201176271e-05,
        -1.8349101134666435e-06,
        -3.483855609009937e-07,
        -1.0001323461066435e-07,
        -4.312935369971356e-08,
        -2.337059627111857e-08,
        -8.426622829598154e-09,
        6.715795128085017e-09,
        1.4029693589852716e-08,
        6.040877342160988e-09,
        -7.630751970065577e-09,
        -8.044231276166508e-09,
        3.406636130196794e-09,
        6.4870195719816896e-09,
        -1.4171698018664596e-09,
        -4.047785403711858e-09,
        5.146498826087142e-10,
        1.8513716745511988e-09,
        -1.342266320082222e-10,
        -5.388285995923524e-10,
        1.7502497778701306e-11,
        7.347992441734663e-11,
    )


@native(exact=True, inline=True)
def exp_above(x: f64, factor: f64) -> f64:
    """factor exp(x), finite where only exp(x) would overflow."""
    return 256.0 * factor * exp_scaled(x, -0.0, -8)


@native(exact=True, inline=True)
def i0(x: f64) -> f64:
    """I0(x), within 5 ulp.

    >>> i0(0.0)
    1.0
    """
    a = abs(x)
    near = a < 8.0
    far = select(near, 8.0, a)
    large = exp_above(far, i0_large(16.0 / far - 1.0) / math.sqrt(far))
    return select(near, i0_small(0.25 * a * a), select(a < math.inf, large, a))


@native(exact=True, inline=True)
def i0e(x: f64) -> f64:
    """exp(-|x|) I0(x), within 5 ulp.

    >>> i0e(0.0)
    1.0
    """
    a = abs(x)
    near = a < 8.0
    far = select(near, 8.0, a)
    large = i0_large(16.0 / far - 1.0) / math.sqrt(far)
    return select(near, i0_small(0.25 * a * a) * exp(-a), large)


@native(exact=True, inline=True)
def i1(x: f64) -> f64:
    """I1(x), within 5 ulp.

    >>> i1(1e-300)
    5e-301
    """
    a = abs(x)
    near = a < 8.0
    far = select(near, 8.0, a)
    large = exp_above(far, i1_large(16.0 / far - 1.0) / math.sqrt(far))
    return math.copysign(select(near, a * i1_small(0.25 * a * a), select(a < math.inf, large, a)), x)


@native(exact=True, inline=True)
def i1e(x: f64) -> f64:
    """exp(-|x|) I1(x), within 5 ulp.

    >>> i1e(1e-300)
    5e-301
    """
    a = abs(x)
    near = a < 8.0
    far = select(near, 8.0, a)
    large = i1_large(16.0 / far - 1.0) / math.sqrt(far)
    return math.copysign(select(near, a * i1_small(0.25 * a * a) * exp(-a), large), x)
