"""What other systems call the things of this language: for the edits that errors propose."""

from __future__ import annotations

FUNCTIONS_ELSEWHERE: dict[str, str] = {
    "gaussian": "Normal", "halfcauchy": "HalfCauchy", "student_t": "StudentT", "lkj_corr_cholesky": "LKJCholesky",
    "multi_normal": "MultivariateNormal", "mvnormal": "MultivariateNormal", "bernoulli_logit": "Bernoulli(logits=…)",
    "neg_binomial_2": "NegativeBinomial2", "std_normal": "Normal(0, 1)", "double_exponential": "Laplace",
    "inv_gamma": "InverseGamma", "poisson_log": "Poisson(exp(…))", "categorical_logit": "Categorical(logits=…)",
    "len": "size", "ln": "log", "pow": "x ** y", "std": "sd", "logistic_sigmoid": "sigmoid", "invlogit": "sigmoid",
    "int": "floor", "float": "x", "print": "deterministic x = …", "power": "x ** y", "fabs": "abs", "expit": "sigmoid",
}  # fmt: skip
PARAMETERS_ELSEWHERE: dict[str, list[str]] = {
    "mu": ["loc", "mean"], "mean": ["loc"], "sigma": ["scale"], "sd": ["scale"], "std": ["scale"], "stddev": ["scale"],
    "alpha": ["concentration1", "concentration", "alpha"], "beta": ["concentration0", "rate", "scale"], "p": ["probs"],
    "n": ["total_count"], "nu": ["df"], "lower": ["low"], "upper": ["high"], "lam": ["rate"], "mu0": ["loc"],
    "cov": ["covariance_matrix"], "tau": ["precision_matrix"], "chol": ["scale_tril"],
    "location": ["loc"], "a": ["concentration"],
    "b": ["rate"], "eta": ["concentration"], "logit_p": ["logits"], "prob": ["probs"],
}  # fmt: skip
