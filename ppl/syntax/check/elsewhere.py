"""What other systems call the things of this language: for the edits that errors propose."""

from __future__ import annotations

FUNCTIONS_ELSEWHERE: dict[str, str] = {
    "gaussian": "Normal", "halfcauchy": "HalfCauchy", "student_t": "StudentT", "lkj_corr_cholesky": "LKJCholesky",
    "multi_normal": "MultivariateNormal", "mvnormal": "MultivariateNormal", "bernoulli_logit": "Bernoulli(logits=…)",
    "neg_binomial_2": "NegativeBinomial2", "std_normal": "Normal(0, 1)", "double_exponential": "Laplace",
    "inv_gamma": "InverseGamma", "poisson_log": "Poisson(exp(…))", "categorical_logit": "Categorical(logits=…)",
    "len": "size", "ln": "log", "pow": "x ** y", "std": "sd", "logistic_sigmoid": "sigmoid", "invlogit": "sigmoid",
    "int": "floor", "float": "x", "print": "deterministic x = …, which keeps x in the result", "power": "x ** y",
    "fabs": "abs", "expit": "sigmoid", "enumerate": "for i in N: and x[i] in it", "zip": "for i in N: and x[i], z[i] in it",
    "range": "for i in N:, or arange(N) for an array", "sample": "x ~ Normal(0, 1)", "plate": "for i in N:",
    "observe": "observe y = … ~ …", "factor": "factor f = …", "deterministic": "deterministic x = …",
    "param": "param x: real = 0", "open": "data: in the file, or ppl run FILE --data y.json",
    "tuple": "[a, b]", "list": "[a, b]", "dict": "a name for each value", "str": "a number", "sorted": "sort",
    "average": "mean", "concatenate": "concat", "dirichlet": "Dirichlet", "inv_logit": "sigmoid", "rep_vector": "full(x, N)",
    "bernoulli_logit_glm": "Bernoulli(logits=…)", "ifelse": "a if test else b", "if_else": "a if test else b",
    "dnorm": "Normal(mu, 1 / sqrt(tau))", "dgamma": "Gamma(a, b)", "dunif": "Uniform(a, b)", "dbern": "Bernoulli(p)",
    "dbin": "Binomial(n, p)", "dpois": "Poisson(rate)", "dbeta": "Beta(a, b)", "dexp": "Exponential(rate)",
    **dict.fromkeys(("eval", "exec", "getattr", "setattr", "hasattr", "compile", "globals", "locals", "vars", "dir", "type",
                     "isinstance", "input", "id", "super", "callable"), "leave it out: Python can't be reached from here"),
    "target": "factor f = …", "lupdf": "log_prob(Normal(0, 1), x)", "normal_lpdf": "log_prob(Normal(0, 1), x)",
}
NAMES_ELSEWHERE: dict[str, str] = {
    **dict.fromkeys(("torch", "np", "numpy", "jnp", "math", "pt", "tf", "at"),
                    "the function alone: exp(x), sum(x), mean(x)"),
    **dict.fromkeys(("dist", "pm", "numpyro", "pyro", "tfd", "stats"), "the distribution alone: Normal(0, 1)"),
    "ppl": "the word alone: sample is `~`, plate is `for`",
    "target": "factor f = …", "self": "a name of the model", "true_": "true", "na": "nan", "null": "nan", "infinity": "inf",
}  # fmt: skip
PARAMETERS_ELSEWHERE: dict[str, list[str]] = {
    "mu": ["loc", "mean"], "mean": ["loc"], "sigma": ["scale"], "sd": ["scale"], "std": ["scale"], "stddev": ["scale"],
    "alpha": ["concentration1", "concentration", "alpha"], "beta": ["concentration0", "rate", "scale"], "p": ["probs"],
    "n": ["total_count"], "nu": ["df"], "lower": ["low"], "upper": ["high"], "lam": ["rate"], "mu0": ["loc"],
    "cov": ["covariance_matrix"], "tau": ["precision_matrix"], "chol": ["scale_tril"],
    "location": ["loc"], "a": ["concentration"],
    "low": ["lower"], "high": ["upper"], "b": ["rate"], "eta": ["concentration"], "logit_p": ["logits"], "prob": ["probs"],
}  # fmt: skip
OPTIONS_ELSEWHERE: dict[str, str] = {
    **dict.fromkeys(("obs", "observed", "value"), "the datum's name as an argument of the model, and y[n] ~ …"),
    **dict.fromkeys(("shape", "size", "sample_shape"), "a type that gives the shape: x: real[N] ~ …"),
    "dims": "… ~ … with dims = [feature]",
    "name": "the name before `~`",
    "testval": "leave it out", "initval": "leave it out", "validate_args": "leave it out",
    "tau": "scale=1 / sqrt(tau)", "precision": "scale=1 / sqrt(precision)",
}  # fmt: skip
"""Options that other systems give to a distribution."""
PARTS_ELSEWHERE = {"T": "transpose({})", "mT": "transpose({})", "shape": "size({}, 0)", "size": "size({})"}
