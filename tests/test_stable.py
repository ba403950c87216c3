"""Known values at extreme arguments, masks that let no NaN through, float32 that stays float32.

The numbers below were computed with 60 digits and rounded once; `test_accuracy.py` holds the many
points and the exact functions behind them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pellucid as pc

INF, NAN = math.inf, math.nan
ULP = 2.0**-52
TINY = 5e-324

# fmt: off
EXACT = {  # function: (x, value, slope)
    "sigmoid": [
        (0.0, 0.5, 0.25), (1e-300, 0.5, 0.25), (-2.0, 0.11920292202211756, 0.10499358540350652),
        (5.0, 0.9933071490757152, 0.006648056670790155),
        (-30.0, 9.357622968839299e-14, 9.357622968838423e-14), (40.0, 1.0, 4.248354255291589e-18),
        (-700.0, 9.85967654375977e-305, 9.85967654375977e-305), (745.0, 1.0, 5e-324),
        (-1e+308, 0.0, 0.0), (-INF, 0.0, 0.0), (INF, 1.0, 0.0),
    ],
    "tanh": [
        (0.0, 0.0, 1.0), (1e-300, 1e-300, 1.0), (-2.0, -0.9640275800758169, 0.07065082485316447),
        (5.0, 0.9999092042625951, 0.0001815832309438067), (-30.0, -1.0, 3.502604305078608e-26),
        (40.0, 1.0, 7.219405551381661e-35), (-700.0, -1.0, 0.0), (745.0, 1.0, 0.0),
        (-1e+308, -1.0, 0.0), (-INF, -1.0, 0.0), (INF, 1.0, 0.0),
    ],
    "softplus": [
        (0.0, 0.6931471805599453, 0.5), (1e-300, 0.6931471805599453, 0.5),
        (-2.0, 0.1269280110429725, 0.11920292202211756),
        (5.0, 5.006715348489118, 0.9933071490757152),
        (-30.0, 9.357622968839737e-14, 9.357622968839299e-14), (40.0, 40.0, 1.0),
        (-700.0, 9.85967654375977e-305, 9.85967654375977e-305), (745.0, 745.0, 1.0),
        (-1e+308, 0.0, 0.0), (-INF, 0.0, 0.0), (INF, INF, 1.0),
    ],
    "log_sigmoid": [
        (0.0, -0.6931471805599453, 0.5), (1e-300, -0.6931471805599453, 0.5),
        (-2.0, -2.1269280110429727, 0.8807970779778824),
        (5.0, -0.006715348489118068, 0.0066928509242848554),
        (-30.0, -30.000000000000092, 0.9999999999999064),
        (40.0, -4.248354255291589e-18, 4.248354255291589e-18), (-700.0, -700.0, 1.0),
        (745.0, -5e-324, 5e-324), (-1e+308, -1e+308, 1.0), (-INF, -INF, 1.0), (INF, 0.0, 0.0),
    ],
    "relu": [
        (0.0, 0.0, 0.0), (1e-300, 1e-300, 1.0), (-2.0, 0.0, 0.0), (5.0, 5.0, 1.0),
        (-30.0, 0.0, 0.0), (40.0, 40.0, 1.0), (-700.0, 0.0, 0.0), (745.0, 745.0, 1.0),
        (-1e+308, 0.0, 0.0), (-INF, 0.0, 0.0), (INF, INF, 1.0),
    ],
    "leaky_relu": [
        (0.0, 0.0, 0.01), (1e-300, 1e-300, 1.0), (-2.0, -0.02, 0.01), (5.0, 5.0, 1.0),
        (-30.0, -0.3, 0.01), (40.0, 40.0, 1.0), (-700.0, -7.0, 0.01), (745.0, 745.0, 1.0),
        (-1e+308, -1e+306, 0.01), (-INF, -INF, 0.01), (INF, INF, 1.0),
    ],
    "elu": [
        (0.0, 0.0, 1.0), (1e-300, 1e-300, 1.0), (-2.0, -0.8646647167633873, 0.1353352832366127),
        (5.0, 5.0, 1.0), (-30.0, -0.9999999999999064, 9.357622968840175e-14), (40.0, 40.0, 1.0),
        (-700.0, -1.0, 9.85967654375977e-305), (745.0, 745.0, 1.0), (-1e+308, -1.0, 0.0),
        (-INF, -1.0, 0.0), (INF, INF, 1.0),
    ],
    "selu": [
        (0.0, 0.0, 1.7580993408473766), (1e-300, 1.0507009873554804e-300, 1.0507009873554805),
        (-2.0, -1.5201664685956948, 0.2379328722516818),
        (5.0, 5.253504936777402, 1.0507009873554805),
        (-30.0, -1.758099340847212, 1.6451630773416182e-13),
        (40.0, 42.028039494219215, 1.0507009873554805),
        (-700.0, -1.7580993408473766, 1.7334290832552394e-304),
        (745.0, 782.7722355798329, 1.0507009873554805), (-1e+308, -1.7580993408473766, 0.0),
        (-INF, -1.7580993408473766, 0.0), (INF, INF, 1.0507009873554805),
    ],
    "swish": [
        (0.0, 0.0, 0.5), (1e-300, 5e-301, 0.5),
        (-2.0, -0.23840584404423512, -0.09078424878489548),
        (5.0, 4.966535745378576, 1.026547432429666),
        (-30.0, -2.8072868906517896e-12, -2.713710660963134e-12),
        (40.0, 40.0, 1.0000000000000002),
        (-700.0, -6.90177358063184e-302, -6.891913904088079e-302), (745.0, 745.0, 1.0),
        (-1e+308, 0.0, 0.0), (-INF, 0.0, 0.0), (INF, INF, 1.0),
    ],
    "gelu": [
        (0.0, 0.0, 0.5), (1e-300, 5e-301, 0.5), (-2.0, -0.04550026389635842, -0.0852318010781969),
        (5.0, 4.999998566742141, 1.000007146946002),
        (-30.0, -1.472014178144456e-196, -4.416031690708495e-195), (40.0, 40.0, 1.0),
        (-700.0, 0.0, -0.0), (745.0, 745.0, 1.0), (-1e+308, 0.0, 0.0), (-INF, 0.0, 0.0),
        (INF, INF, 1.0),
    ],
    "erf": [
        (0.0, 0.0, 1.1283791670955126), (1e-300, 1.1283791670955126e-300, 1.1283791670955126),
        (-2.0, -0.9953222650189527, 0.020666985354092053),
        (5.0, 0.9999999999984626, 1.5670866531017336e-11), (-30.0, -1.0, 0.0), (40.0, 1.0, 0.0),
        (-700.0, -1.0, 0.0), (745.0, 1.0, 0.0), (-1e+308, -1.0, 0.0), (-INF, -1.0, 0.0),
        (INF, 1.0, 0.0),
    ],
    "erfc": [
        (0.0, 1.0, -1.1283791670955126), (1e-300, 1.0, -1.1283791670955126),
        (-2.0, 1.9953222650189528, -0.020666985354092053),
        (5.0, 1.537459794428035e-12, -1.5670866531017336e-11), (-30.0, 2.0, -0.0),
        (40.0, 0.0, -0.0), (-700.0, 2.0, -0.0), (745.0, 0.0, -0.0), (-1e+308, 2.0, 0.0),
        (-INF, 2.0, 0.0), (INF, 0.0, 0.0),
    ],
    "normal_cdf": [
        (0.0, 0.5, 0.3989422804014327), (1e-300, 0.5, 0.3989422804014327),
        (-2.0, 0.02275013194817921, 0.05399096651318805),
        (5.0, 0.9999997133484281, 1.4867195147342977e-06),
        (-30.0, 4.906713927148187e-198, 1.4736461348785476e-196), (40.0, 1.0, 0.0),
        (-700.0, 0.0, 0.0), (745.0, 1.0, 0.0), (-1e+308, 0.0, 0.0), (-INF, 0.0, 0.0),
        (INF, 1.0, 0.0),
    ],
    "exp": [
        (0.0, 1.0, 1.0), (1e-300, 1.0, 1.0), (-2.0, 0.1353352832366127, 0.1353352832366127),
        (5.0, 148.4131591025766, 148.4131591025766),
        (-30.0, 9.357622968840175e-14, 9.357622968840175e-14),
        (40.0, 2.3538526683702e+17, 2.3538526683702e+17),
        (-700.0, 9.85967654375977e-305, 9.85967654375977e-305), (745.0, INF, INF),
        (-1e+308, 0.0, 0.0), (-INF, 0.0, 0.0), (INF, INF, INF),
    ],
    "expm1": [
        (0.0, 0.0, 1.0), (1e-300, 1e-300, 1.0), (-2.0, -0.8646647167633873, 0.1353352832366127),
        (5.0, 147.4131591025766, 148.4131591025766),
        (-30.0, -0.9999999999999064, 9.357622968840175e-14),
        (40.0, 2.3538526683702e+17, 2.3538526683702e+17), (-700.0, -1.0, 9.85967654375977e-305),
        (745.0, INF, INF), (-1e+308, -1.0, 0.0), (-INF, -1.0, 0.0), (INF, INF, INF),
    ],
    "log": [
        (0.0, -INF, INF), (1e-300, -690.7755278982137, 9.999999999999999e+299),
        (5.0, 1.6094379124341003, 0.2), (40.0, 3.6888794541139363, 0.025),
        (745.0, 6.61338421837956, 0.0013422818791946308), (INF, INF, 0.0),
    ],
    "log1p": [
        (0.0, 0.0, 1.0), (1e-300, 1e-300, 1.0), (5.0, 1.791759469228055, 0.16666666666666666),
        (40.0, 3.713572066704308, 0.024390243902439025),
        (745.0, 6.61472560020376, 0.0013404825737265416), (INF, INF, 0.0),
    ],
    "sqrt": [
        (0.0, 0.0, INF), (1e-300, 1e-150, 5e+149), (5.0, 2.23606797749979, 0.22360679774997896),
        (40.0, 6.324555320336759, 0.07905694150420949),
        (745.0, 27.294688127912362, 0.018318582636182794), (INF, INF, 0.0),
    ],
    "square": [
        (0.0, 0.0, 0.0), (1e-300, 0.0, 2e-300), (-2.0, 4.0, -4.0), (5.0, 25.0, 10.0),
        (-30.0, 900.0, -60.0), (40.0, 1600.0, 80.0), (-700.0, 490000.0, -1400.0),
        (745.0, 555025.0, 1490.0), (-1e+308, INF, -INF), (-INF, INF, -INF), (INF, INF, INF),
    ],
    "abs": [
        (0.0, 0.0, 0.0), (1e-300, 1e-300, 1.0), (-2.0, 2.0, -1.0), (5.0, 5.0, 1.0),
        (-30.0, 30.0, -1.0), (40.0, 40.0, 1.0), (-700.0, 700.0, -1.0), (745.0, 745.0, 1.0),
        (-1e+308, 1e+308, -1.0), (-INF, INF, -1.0), (INF, INF, 1.0),
    ],
    "sin": [
        (0.0, 0.0, 1.0), (1e-300, 1e-300, 1.0), (-2.0, -0.9092974268256817, -0.4161468365471424),
        (5.0, -0.9589242746631385, 0.28366218546322625),
        (-30.0, 0.9880316240928618, 0.15425144988758405),
        (40.0, 0.7451131604793488, -0.6669380616522619),
        (-700.0, -0.5439705233633756, -0.8391043258807425),
        (745.0, -0.42823715115227945, -0.9036663888697973),
    ],
    "cos": [
        (0.0, 1.0, 0.0), (1e-300, 1.0, -1e-300), (-2.0, -0.4161468365471424, 0.9092974268256817),
        (5.0, 0.28366218546322625, 0.9589242746631385),
        (-30.0, 0.15425144988758405, -0.9880316240928618),
        (40.0, -0.6669380616522619, -0.7451131604793488),
        (-700.0, -0.8391043258807425, 0.5439705233633756),
        (745.0, -0.9036663888697973, 0.42823715115227945),
    ],
    "arctan": [
        (0.0, 0.0, 1.0), (1e-300, 1e-300, 1.0), (-2.0, -1.1071487177940904, 0.2),
        (5.0, 1.373400766945016, 0.038461538461538464),
        (-30.0, -1.5374753309166493, 0.0011098779134295228),
        (40.0, 1.5458015331759765, 0.0006246096189881324),
        (-700.0, -1.5693677563381414, 2.0408121616078334e-06),
        (745.0, 1.56945404572184, 1.801717397022842e-06), (-1e+308, -1.5707963267948966, 0.0),
        (-INF, -1.5707963267948966, 0.0), (INF, 1.5707963267948966, 0.0),
    ],
}
EXACT_LOSSES = [  # name, prediction, target, value, slope
    ("mse", 0.0, 0.0, 0.0, 0.0), ("mse", 0.7, 0.0, 0.48999999999999994, 1.4),
    ("mse", -3.0, 0.0, 9.0, -6.0), ("mse", 1e+200, 0.0, INF, 2e+200),
    ("half_mse", -3.0, 0.0, 4.5, -3.0), ("half_mse", 1e+308, 0.0, INF, 1e+308),
    ("mae", 0.0, 0.0, 0.0, 0.0), ("mae", 0.7, 0.0, 0.7, 1.0), ("mae", -3.0, 0.0, 3.0, -1.0),
    ("mae", 1e+200, 0.0, 1e+200, 1.0), ("huber", 0.0, 0.0, 0.0, 0.0),
    ("huber", 0.7, 0.0, 0.24499999999999997, 0.7), ("huber", -3.0, 0.0, 2.5, -1.0),
    ("huber", 1e+200, 0.0, 1e+200, 1.0), ("mse", 0.0, -2.5, 6.25, 5.0),
    ("mse", 0.7, -2.5, 10.24, 6.4), ("mse", -3.0, -2.5, 0.25, -1.0),
    ("mse", 1e+200, -2.5, INF, 2e+200), ("half_mse", -3.0, -2.5, 0.125, -0.5),
    ("half_mse", 1e+308, -2.5, INF, 1e+308), ("mae", 0.0, -2.5, 2.5, 1.0),
    ("mae", 0.7, -2.5, 3.2, 1.0), ("mae", -3.0, -2.5, 0.5, -1.0),
    ("mae", 1e+200, -2.5, 1e+200, 1.0), ("huber", 0.0, -2.5, 2.0, 1.0),
    ("huber", 0.7, -2.5, 2.7, 1.0), ("huber", -3.0, -2.5, 0.125, -0.5),
    ("huber", 1e+200, -2.5, 1e+200, 1.0), ("hinge", 0.0, 1.0, 1.0, -1.0),
    ("hinge", 0.7, 1.0, 0.30000000000000004, -1.0), ("hinge", -3.0, 1.0, 4.0, -1.0),
    ("hinge", 1e+200, 1.0, 0.0, 0.0), ("hinge", 0.0, -1.0, 1.0, 1.0),
    ("hinge", 0.7, -1.0, 1.7, 1.0), ("hinge", -3.0, -1.0, 0.0, 0.0),
    ("hinge", 1e+200, -1.0, 1e+200, 1.0), ("bce", 0.0, 0.0, 0.0, 1.0),
    ("bce", 1e-300, 0.0, 1e-300, 1.0), ("bce", 0.25, 0.0, 0.2876820724517809, 1.3333333333333333),
    ("bce", 0.9999999999999999, 0.0, 36.7368005696771, 9007199254740992.0),
    ("bce", 1.0, 0.0, INF, INF), ("bce_logits", 0.0, 0.0, 0.6931471805599453, 0.5),
    ("bce_logits", 1e-300, 0.0, 0.6931471805599453, 0.5),
    ("bce_logits", 0.7, 0.0, 1.103186048885458, 0.668187772168166),
    ("bce_logits", -3.0, 0.0, 0.04858735157374206, 0.04742587317756678),
    ("bce_logits", 40.0, 0.0, 40.0, 1.0),
    ("bce_logits", -700.0, 0.0, 9.85967654375977e-305, 9.85967654375977e-305),
    ("bce_logits", 1e+200, 0.0, 1e+200, 1.0), ("bce_logits", -1e+308, 0.0, 0.0, 0.0),
    ("bce", 0.0, 1.0, INF, -INF),
    ("bce", 1e-300, 1.0, 690.7755278982137, -9.999999999999999e+299),
    ("bce", 0.25, 1.0, 1.3862943611198906, -4.0),
    ("bce", 0.9999999999999999, 1.0, 1.1102230246251565e-16, -1.0000000000000002),
    ("bce", 1.0, 1.0, 0.0, -1.0), ("bce_logits", 0.0, 1.0, 0.6931471805599453, -0.5),
    ("bce_logits", 1e-300, 1.0, 0.6931471805599453, -0.5),
    ("bce_logits", 0.7, 1.0, 0.4031860488854579, -0.3318122278318339),
    ("bce_logits", -3.0, 1.0, 3.048587351573742, -0.9525741268224333),
    ("bce_logits", 40.0, 1.0, 4.248354255291589e-18, -4.248354255291589e-18),
    ("bce_logits", -700.0, 1.0, 700.0, -1.0), ("bce_logits", 1e+200, 1.0, 0.0, 0.0),
    ("bce_logits", -1e+308, 1.0, 1e+308, -1.0), ("bce", 0.0, 0.25, INF, -INF),
    ("bce", 1e-300, 0.25, 172.69388197455342, -2.4999999999999998e+299),
    ("bce", 0.25, 0.25, 0.5623351446188084, 0.0),
    ("bce", 0.9999999999999999, 0.25, 27.552600427257826, 6755399441055744.0),
    ("bce", 1.0, 0.25, INF, INF), ("bce_logits", 0.0, 0.25, 0.6931471805599453, 0.25),
    ("bce_logits", 1e-300, 0.25, 0.6931471805599453, 0.25),
    ("bce_logits", 0.7, 0.25, 0.9281860488854579, 0.4181877721681661),
    ("bce_logits", -3.0, 0.25, 0.798587351573742, -0.20257412682243323),
    ("bce_logits", 40.0, 0.25, 30.0, 0.75), ("bce_logits", -700.0, 0.25, 175.0, -0.25),
    ("bce_logits", 1e+200, 0.25, 7.5e+199, 0.75), ("bce_logits", -1e+308, 0.25, 2.5e+307, -0.25),
    ("poisson", 1e-300, 0.0, 1e-300, 1.0), ("poisson", 0.7, 0.0, 0.7, 1.0),
    ("poisson", 40.0, 0.0, 40.0, 1.0), ("poisson", 1e+200, 0.0, 1e+200, 1.0),
    ("poisson", 1e-300, 1.0, 690.7755278982137, -9.999999999999999e+299),
    ("poisson", 0.7, 1.0, 1.0566749439387324, -0.42857142857142866),
    ("poisson", 40.0, 1.0, 36.31112054588606, 0.975), ("poisson", 1e+200, 1.0, 1e+200, 1.0),
    ("poisson", 1e-300, 3.0, 2072.326583694641, -3e+300),
    ("poisson", 0.7, 3.0, 1.7700248318161973, -3.285714285714286),
    ("poisson", 40.0, 3.0, 28.93336163765819, 0.925), ("poisson", 1e+200, 3.0, 1e+200, 1.0),
]
EXACT_ROWS = [  # scores, softmax, log_softmax, logsumexp
    ([2.0, 1.0, 0.1], [0.6590011388859679, 0.24243297070471392, 0.09856589040931817],
     [-0.4170300162778335, -1.4170300162778335, -2.3170300162778337], 2.4170300162778333),
    ([1.0, 2.0, 3.0], [0.09003057317038046, 0.24472847105479764, 0.6652409557748219],
     [-2.40760596444438, -1.4076059644443804, -0.4076059644443803], 3.40760596444438),
    ([0.0, -50.0], [1.0, 1.9287498479639178e-22],
     [-1.9287498479639178e-22, -50.0], 1.9287498479639178e-22),
    ([100.0, 1e-08], [1.0, 3.720076013221596e-44],
     [-3.720076013221596e-44, -99.99999999], 100.0),
    ([1e+308, 1e+308, -1e+308], [0.5, 0.5, 0.0],
     [-0.6931471805599453, -0.6931471805599453, -INF], 1e+308),
    ([-745.0, 0.0, 745.0], [0.0, 5e-324, 1.0],
     [-1490.0, -745.0, -5e-324], 745.0),
    ([INF, 1.0], [1.0, 0.0],
     [0.0, -INF], INF),
    ([-INF, 0.0], [0.0, 1.0],
     [-INF, 0.0], 0.0),
]
# fmt: on


def near(got: Any, exact: Any, ulps: float) -> bool:
    """Whether numbers agree to so many units in the last place; infinities and NaN exactly."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(np.asarray(got) - exact) <= ulps * np.maximum(ULP * np.abs(exact), TINY)
    same = (np.asarray(got) == exact) | (np.isnan(got) & np.isnan(exact))
    return bool(np.all(same | (apart & np.isfinite(exact))))


def slope(f: Callable[[Any], Any], x: Any) -> Any:
    """Return the slope of an elementwise function at every element."""
    return pc.grad(lambda v: pc.sum(f(v)))(np.asarray(x, float))


def public(name: str) -> Callable[[Any], Any]:
    return np.abs if name == "abs" else getattr(pc, name)  # type: ignore[no-any-return]


# -- known values ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXACT)
def test_known_values_and_slopes(name: str) -> None:
    x, values, slopes = np.array(EXACT[name]).T
    f = public(name)
    assert near(f(pc.value(x)).value, values, 4), f(pc.value(x)).value
    assert near(slope(f, x), slopes, 4), slope(f, x)
    if name != "abs":  # np.abs of an array is NumPy's own
        assert near(f(x), values, 4)
    for number, wanted in zip(x.tolist(), slopes, strict=True):
        assert near(pc.grad(f)(number), wanted, 4)


@pytest.mark.parametrize(("name", "p", "y", "exact", "slope"), EXACT_LOSSES)
def test_known_losses_and_slopes(name: str, p: float, y: float, exact: float, slope: float) -> None:
    loss = getattr(pc, name)
    assert near(loss(p, y), exact, 16)
    assert near(pc.grad(loss)(p, y), slope, 16)
    two, targets = np.array([p, p]), np.array([y, y])
    each = pc.grad(lambda x, t: pc.sum(loss(x, t, reduction="none")))(two, targets)
    assert near(each, slope, 16)
    assert near(pc.grad(loss)(two, targets), slope / 2, 16)  # the mean


@pytest.mark.parametrize(("scores", "shares", "logs", "total"), EXACT_ROWS)
def test_known_softmax_rows(scores: Any, shares: Any, logs: Any, total: float) -> None:
    x, shares, logs = np.array(scores), np.array(shares), np.array(logs)
    assert near(pc.softmax(x), shares, 4)
    assert near(pc.log_softmax(x), logs, 4)
    assert near(pc.logsumexp(x), total, 4)
    assert near(pc.grad(pc.logsumexp)(x), shares, 4)
    for f in (pc.softmax, pc.log_softmax):
        assert np.all(np.isfinite(pc.jacobian(f)(x)))
    for k in range(len(scores)):
        assert near(pc.cce_logits(x[None], np.array([k])), -logs[k], 16)
        slopes = pc.grad(pc.cce_logits)(x[None], np.array([k]))[0]
        assert np.allclose(slopes, shares - np.eye(len(scores))[k], rtol=1e-14, atol=1e-16)


def test_softmax_slopes_keep_digits_near_one() -> None:
    tail = 1.9287498479639178e-22  # exp(-50), and 1 - softmax of the larger
    x = np.array([0.0, -50.0])
    assert near(pc.jacobian(pc.softmax)(x), np.array([[tail, -tail], [-tail, tail]]), 4)
    assert near(pc.jacobian(pc.log_softmax)(x), np.array([[tail, -tail], [-1.0, 1.0]]), 4)


# -- the teaching documents ----------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 0.0), (np.float32, 2e-6)])
class TestMission:
    """Values of mission.md, rows A, D and E: to half a unit of the last digit shown."""

    def close(self, got: Any, shown: Any, digits: int, dtype: Any, tolerance: float) -> None:
        assert np.asarray(got).dtype == dtype
        room = 0.5 * 10.0**-digits * 1.000001 + tolerance * np.abs(shown)
        assert np.all(np.abs(got - np.asarray(shown)) <= room), got

    def test_activations(self, dtype: Any, tolerance: float) -> None:
        z = np.array([-2, -1, 0, 1, 2], dtype)
        self.close(pc.sigmoid(dtype(0.6)), 0.645656, 6, dtype, tolerance)
        self.close(pc.grad(pc.sigmoid)(dtype(0.6)), 0.228784, 6, dtype, tolerance)
        self.close(pc.sigmoid(z), [0.1192, 0.2689, 0.5, 0.7311, 0.8808], 4, dtype, tolerance)
        self.close(pc.tanh(z), [-0.9640, -0.7616, 0, 0.7616, 0.9640], 4, dtype, tolerance)
        self.close(pc.leaky_relu(z), [-0.02, -0.01, 0, 1, 2], 6, dtype, tolerance)
        self.close(pc.grad(pc.sigmoid)(dtype(1)), 0.1966, 4, dtype, tolerance)
        self.close(pc.grad(pc.tanh)(dtype(1)), 0.4200, 4, dtype, tolerance)
        self.close(pc.grad(pc.relu)(dtype(1)), 1, 6, dtype, tolerance)
        for x in (-5, 5):
            self.close(pc.grad(pc.sigmoid)(dtype(x)), 0.00665, 5, dtype, tolerance)
        for x in (-3, 3):
            self.close(pc.grad(pc.tanh)(dtype(x)), 0.00987, 5, dtype, tolerance)

    def test_softmax(self, dtype: Any, tolerance: float) -> None:
        shown = [0.6590, 0.2424, 0.0986]
        x = np.array([2, 1, 0.1], dtype)
        self.close(pc.softmax(x), shown, 4, dtype, tolerance)
        shifted = pc.softmax(x + dtype(1e4))  # 1e4 + 0.1 is itself rounded
        self.close(shifted, shown, 4, dtype, 1e-3 if dtype == np.float32 else 0.0)
        largest = np.finfo(dtype).max
        self.close(pc.softmax(np.full(3, largest)), [1 / 3] * 3, 9, dtype, tolerance)
        triple = np.array([1, 2, 3], dtype)
        self.close(pc.softmax(triple), [0.090031, 0.244728, 0.665241], 6, dtype, tolerance)

    def test_losses(self, dtype: Any, tolerance: float) -> None:
        p, y = np.array([0.7, 0.2, 0.9, 0.1], dtype), np.array([1, 0, 1, 0], dtype)
        self.close(pc.bce(p, y), 0.197635, 6, dtype, tolerance)
        shares = np.full((3, 3), 0.15, dtype) + np.eye(3, dtype=dtype) * dtype(0.55)
        self.close(pc.cce(shares, np.arange(3)), 0.356675, 6, dtype, tolerance)
        z, t = np.array([2, -1.5, 1, 0.5, -2], dtype), np.array([1, 0, 1, 1, 0], dtype)
        each = pc.bce_logits(z, t, reduction="none")
        self.close(each, [0.126928, 0.201413, 0.313262, 0.474077, 0.126928], 6, dtype, tolerance)
        self.close(pc.bce_logits(z, t), 0.248522, 6, dtype, tolerance)
        slopes = pc.grad(lambda v: pc.bce_logits(v, t, reduction="sum"))(z)
        shown = [-0.119203, 0.182426, -0.268941, -0.377541, 0.119203]
        self.close(slopes, shown, 6, dtype, tolerance)


# -- NaN: passes through where it came in, and comes from nowhere else -----------------------------

ONE_NUMBER = [
    "sigmoid", "tanh", "softplus", "log_sigmoid", "relu", "leaky_relu", "elu", "selu", "swish",
    "gelu", "erf", "erfc", "normal_cdf", "normal_pdf", "gaussian", "exp", "expm1", "exp2", "log",
    "log1p", "log2", "log10", "sqrt", "square", "absolute", "sin", "cos", "tan", "arcsin", "arccos",
    "arctan", "sinh", "cosh", "arcsinh", "arctanh", "sinc", "reciprocal", "negative",
]  # fmt: skip


ELEMENTWISE_LOSSES = [
    pc.mse, pc.half_mse, pc.mae, pc.huber, pc.hinge, pc.bce, pc.bce_logits, pc.poisson,
]  # fmt: skip


@pytest.mark.parametrize("name", ONE_NUMBER)
def test_nan_passes_through(name: str) -> None:
    f = getattr(pc, name)
    assert np.isnan(f(NAN))
    assert np.isnan(f(np.array([0.5, NAN]))).tolist() == [False, True]


def test_nan_passes_through_choices_reductions_and_losses() -> None:
    bad = np.array([[1.0, NAN], [1.0, 2.0]])
    for f in (lambda x: pc.maximum(x, 0), lambda x: pc.minimum(x, 0), lambda x: np.clip(x, -1, 1)):
        assert np.isnan(f(bad)).tolist() == [[False, True], [False, False]]
    for f in (pc.max, pc.min, pc.sum, pc.mean, pc.std, pc.prod, pc.logsumexp):
        assert np.isnan(f(bad))
    for f in (pc.softmax, pc.log_softmax):
        assert np.isnan(f(bad)).tolist() == [[True, True], [False, False]]
    for loss in ELEMENTWISE_LOSSES:
        assert np.isnan(loss(np.array([0.5, NAN]), np.array([0.0, 1.0])))
        assert np.isnan(loss(np.array([0.5, NAN]), np.array([1.0, 0.0])))
    for loss in (pc.cce, pc.cce_logits):
        assert np.isnan(loss(bad, np.array([1, 0])))


HIDDEN: list[tuple[str, Callable[[Any], Any], list[float], list[float]]] = [
    ("relu(log x)", lambda x: pc.relu(np.log(x)), [0, 0.5, 2], [0, 0, 0.5]),
    ("max(log x, 0)", lambda x: np.maximum(np.log(x), 0), [0, 0.5, 2], [0, 0, 0.5]),
    ("clip(exp x)", lambda x: np.clip(np.exp(x), 0, 2), [-1e3, 0, 1e3], [0, 1, 0]),
    ("min(exp x, 2)", lambda x: np.minimum(np.exp(x), 2), [-1e3, 0, 1e3], [0, 1, 0]),
    ("relu(1 - exp x)", lambda x: pc.relu(1 - np.exp(x)), [1, 1e3, -1e3], [0, 0, 0]),
    ("relu(1 - x^4)", lambda x: pc.relu(1 - x**4), [0, 2, 1e200], [0, 0, 0]),
    ("relu(1 - 1/x)", lambda x: pc.relu(1 - 1 / x), [0, 0.5, 2], [0, 0, 0.25]),
    ("sqrt(relu x)", lambda x: np.sqrt(pc.relu(x)), [-1, 4], [0, 0.25]),
    ("sqrt(max(x, 0))", lambda x: np.sqrt(np.maximum(x, 0)), [-1, 4], [0, 0.25]),
    ("sqrt(clip x)", lambda x: np.sqrt(np.clip(x, 0, 9)), [-1, 4, 10], [0, 0.25, 0]),
    ("log(relu x)", lambda x: np.log(pc.relu(x)), [-1, 4], [0, 0.25]),
    ("where(x > 0, log x, 0)", lambda x: np.where(x > 0, np.log(x), 0), [-1, 0, 4], [0, 0, 0.25]),
    ("where(x > 0, x log x, 0)", lambda x: np.where(x > 0, x * np.log(x), 0), [0, 1], [0, 1]),
    ("where(x > 0, 1/x, 0)", lambda x: np.where(x > 0, 1 / x, 0), [0, 2], [0, -0.25]),
    ("where(x != 0, x/x, 1)", lambda x: np.where(x != 0, x / x, 1), [0, 2], [0, 0]),
    ("where x > 0", lambda x: np.where(x > 0, np.sqrt(np.abs(x)), 0), [0, 4], [0, 0.25]),
]


@pytest.mark.parametrize(("name", "f", "x", "slopes"), HIDDEN, ids=[h[0] for h in HIDDEN])
def test_what_is_hidden_has_no_slope(
    name: str, f: Any, x: list[float], slopes: list[float]
) -> None:
    assert near(slope(f, x), np.array(slopes), 4)
    for number, wanted in zip(x, slopes, strict=True):
        assert near(pc.grad(f)(float(number)), wanted, 4)


def test_a_broadcast_choice_hides_too() -> None:
    f = lambda x: pc.sum(np.where(np.array([True, False]), np.log(x), 0.0))  # noqa: E731
    assert pc.grad(f)(np.array([[2.0, 0.0], [4.0, -1.0]])).tolist() == [[0.5, 0], [0.25, 0]]


# -- corners and zeros ---------------------------------------------------------------------------

CORNERS: list[tuple[str, Callable[[Any], Any], list[float], list[float]]] = [
    ("abs", np.abs, [0, -0.0, -2, INF], [0, 0, -1, 1]),
    ("relu", pc.relu, [0, -0.0, TINY, -TINY], [0, 0, 1, 0]),
    ("sqrt", np.sqrt, [0, 4, INF], [INF, 0.25, 0]),
    ("x**2", lambda x: x**2, [0, -1e300, 8e307], [0, -2e300, 1.6e308]),
    ("x**3", lambda x: x**3, [0, -1e300, -1e150], [0, INF, 3e300]),
    ("x**0", lambda x: x**0, [0, -1, INF], [0, 0, 0]),
    ("x**1", lambda x: x**1, [0, -3, INF], [1, 1, 1]),
    ("x**1.0", lambda x: x**1.0, [0, -3], [1, 1]),
    ("x**-1", lambda x: x**-1, [4, -INF], [-0.0625, 0]),
    ("0**x", lambda x: 0.0**x, [1, 2], [0, 0]),
    ("max(x, 1)", lambda x: np.maximum(x, 1), [0, 1, 2, INF], [0, 0.5, 1, 1]),
    ("max(x, x)", lambda x: np.maximum(x, x), [0, INF], [1, 1]),
    ("max(x, inf)", lambda x: np.maximum(x, INF), [0, INF], [0, 0.5]),
    ("clip", lambda x: np.clip(x, 0, 1), [-1, 0, 0.5, 1, 2], [0, 1, 1, 1, 0]),
    ("hypot(x, 0)", lambda x: np.hypot(x, 0), [0, -3, INF, -INF], [0, -1, 1, -1]),
    ("hypot(x, 4)", lambda x: np.hypot(x, 4), [3, 1e308, INF], [0.6, 1, 1]),
    ("logaddexp(x, inf)", lambda x: np.logaddexp(x, INF), [INF, 0], [0.5, 0]),
    ("logaddexp(x, -inf)", lambda x: np.logaddexp(x, -INF), [-INF, 0], [0.5, 1]),
    ("arctan2(x, 1)", lambda x: np.arctan2(x, 1), [0, 1e300, INF], [1, 0, 0]),
]


@pytest.mark.parametrize(("name", "f", "x", "slopes"), CORNERS, ids=[c[0] for c in CORNERS])
def test_corners(name: str, f: Any, x: list[float], slopes: list[float]) -> None:
    assert near(slope(f, x), np.array(slopes), 4), slope(f, x)


@pytest.mark.parametrize(
    ("f", "x", "slopes"),
    [
        (np.prod, [0, 2, 3], [6, 0, 0]),
        (np.prod, [0, 0, 3], [0, 0, 0]),
        (np.prod, [0, 0, 0], [0, 0, 0]),
        (np.prod, [2, 3, 0, 4, 5], [0, 0, 120, 0, 0]),
        (np.max, [1, 1, 0], [0.5, 0.5, 0]),
        (np.max, [INF, INF, 0], [0.5, 0.5, 0]),
        (np.min, [2, 1, 1, 1], [0, 1 / 3, 1 / 3, 1 / 3]),
        (np.std, [2, 2, 2], [0, 0, 0]),
        (np.std, [1, 2], [-0.5, 0.5]),
        (np.var, [2, 2], [0, 0]),
        (lambda x: np.sqrt(np.max(x)), [0, -1], [INF, 0]),
    ],
)
def test_reductions_at_zeros_and_ties(f: Any, x: list[float], slopes: list[float]) -> None:
    assert near(pc.grad(f)(np.array(x, float)), np.array(slopes), 4)


def test_second_slopes_have_no_nan_where_the_limit_is_finite() -> None:
    x = np.array([0, 1e-310, -1e-300, 1, -1, 40, -40, 710, -750, 1e154, -1e200, 1.7e308, INF, -INF])
    for name in [*ONE_NUMBER[:15], "arctan", "arcsinh", "sinc"]:
        first = pc.grad(lambda u, name=name: pc.sum(getattr(pc, name)(u)))
        assert np.all(np.isfinite(slope(first, x))), name


# -- float32 -------------------------------------------------------------------------------------

INSIDE = {"log", "log2", "log10", "sqrt"}, {"arcsin", "arccos", "arctanh", "log1p"}
CROSSING = {"swish", "gelu", "sinc"}  # slopes that cross 0 as a difference of terms of about 0.25


@pytest.mark.parametrize("name", ONE_NUMBER)
def test_float32_stays_float32_and_accurate(name: str) -> None:
    f = getattr(pc, name)
    x = np.linspace(-6, 6, 1201).astype(np.float32)
    x = np.abs(x) + np.float32(0.01) if name in INSIDE[0] else x
    x = x / np.float32(6.5) if name in INSIDE[1] else x
    x = x[x != 0] if name == "reciprocal" else x
    wide = x.astype(np.float64)
    for got, exact in ((f(x), f(wide)), (pc.grad(lambda v: pc.sum(f(v)))(x), slope(f, wide))):
        assert got.dtype == np.float32
        size = np.maximum(np.abs(exact), 0.25 if name in CROSSING else 0)
        assert np.max(np.abs(got - exact) / np.spacing(size.astype(np.float32))) <= 8
    for number in (np.float32(0.5), np.array(0.5, np.float32)):
        assert f(number).dtype == np.float32
        assert pc.grad(f)(number).dtype == np.float32


def test_float32_losses_and_rows_stay_float32() -> None:
    p, y = np.array([0.2, 0.7], np.float32), np.array([0.0, 1.0], np.float32)
    for loss in ELEMENTWISE_LOSSES:
        value, slopes = pc.value_and_grad(loss)(p, y)
        assert value.dtype == slopes.dtype == np.float32
    for loss in (pc.cce, pc.cce_logits):
        for target in (np.array([1]), y[None]):
            value, slopes = pc.value_and_grad(loss)(p[None], target)
            assert value.dtype == slopes.dtype == np.float32
    for f in (pc.softmax, pc.log_softmax, pc.logsumexp, pc.max, pc.prod, pc.std, pc.mean):
        assert f(p).dtype == np.float32
        assert pc.jacobian(f)(p).dtype == np.float32
    for f in (pc.hypot, pc.logaddexp, pc.arctan2, pc.maximum, pc.minimum, pc.power):
        value, (dp, dy) = pc.value_and_grad(lambda a, b, f=f: pc.sum(f(a, b)), argnums=(0, 1))(p, y)
        assert value.dtype == dp.dtype == dy.dtype == np.float32


# -- numbers as Python has them ------------------------------------------------------------------


def test_python_numbers_overflow_to_inf_without_error_or_warning() -> None:
    assert pc.square(1e200) == INF
    assert pc.mse(1e200, 0.0) == INF
    assert pc.divide(1.0, 0.0) == INF
    assert np.isnan(pc.divide(0.0, 0.0))
    assert pc.power(10.0, 400.0) == INF
    assert pc.exp(1e4) == INF
    assert pc.log(0.0) == -INF
    assert np.isnan(pc.sin(INF))


def test_python_numbers_are_never_mistaken_for_earlier_ones() -> None:
    rng = np.random.default_rng(0)
    for a, b in rng.uniform(-9, 9, (3000, 2)).tolist():
        c = round(a)
        assert pc.subtract(a, b) == a - b
        assert pc.multiply(pc.add(c, 1.0), 2.0) == (c + 1.0) * 2.0


def test_a_number_that_was_read_stays_weak() -> None:
    x = pc.value(np.ones(3, np.float32), "x")
    for number in (1, 0.5):
        kept = pc.add(pc.value(0.0), number).args[1]
        assert kept.value == number
        assert (number + x).value.dtype == np.float32


def test_poisson_of_an_infinite_rate_in_either_precision():
    for dtype in (np.float32, np.float64):
        assert pc.poisson(dtype(np.inf), dtype(1)) == np.inf


def test_softmax_of_no_classes_is_empty():
    assert pc.softmax(np.zeros((2, 0))).shape == (2, 0)
    assert pc.log_softmax(np.zeros((0, 2)), axis=0).shape == (0, 2)
