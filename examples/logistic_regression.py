"""Logistic regression: benign or malignant, from measurements of cell nuclei.

The model, for tumours i with standardised measurements x_i (30 of them):

    α   ~ Normal(0, 2)
    β_k ~ Normal(0, 1)
    y_i ~ Bernoulli(logit⁻¹(α + x_i · β))         1: malignant

A tumour the model has not seen is malignant with the posterior mean of logit⁻¹(α + x · β): the mean over what
the data leave open about α and β, not the value at their best guess.

Draws come from NUTS. Two normal approximations stand beside them, fitted by variational inference: one in which
all coefficients are independent ("mean_field"), and one with any covariance ("full_rank"). Measurements of one
nucleus go together (radius, perimeter, area), so their coefficients do as well, and the first is too sure of each.

Data: Breast Cancer Wisconsin (Diagnostic), Wolberg, Mangasarian, Street, Street (1995), UCI Machine Learning
Repository. scikit-learn ships it (`load_breast_cancer`; pip install scikit-learn).

    python examples/logistic_regression.py
"""

import time

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

import ppl
from ppl.distributions import Bernoulli, Normal


@ppl.model
def logistic_regression(x):
    alpha = ppl.sample("alpha", Normal(0.0, 2.0))
    beta = ppl.sample("beta", Normal(0.0, 1.0).expand([x.shape[1]]), dims=("measurement",))
    for i in ppl.plate("tumour", x.shape[0]):
        logit = alpha + x[i] @ beta
        ppl.deterministic("p", torch.sigmoid(logit))
        ppl.sample("y", Bernoulli(logits=logit))


def load() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, list[str]]:
    """Measurements and labels (1: malignant) to learn from and to test on, and the measurements' names."""
    data = load_breast_cancer()
    x, x_test, y, y_test = train_test_split(
        data.data, 1.0 - data.target, test_size=0.3, random_state=0, stratify=data.target
    )
    centre, scale = x.mean(0), x.std(0)  # of the training rows only
    x, x_test = (x - centre) / scale, (x_test - centre) / scale
    parts = [torch.as_tensor(a, dtype=torch.float64) for a in (x, y, x_test, y_test)]
    return *parts, [str(name) for name in data.feature_names]


def compare(
    x: torch.Tensor, y: torch.Tensor, exact: ppl.Posterior, steps: int, seed: int
) -> dict[str, dict[str, float]]:
    """Normal approximations beside draws of the posterior: means and standard deviations of the coefficients."""
    found = {}
    print("\nNormal approximations against NUTS\n")
    print(
        f"{'':<12}{'worst mean (sd)':>17}{'sd, relative':>16}{'k-hat':>8}{'log evidence':>15}{'seconds':>9}"
    )
    for guide in ("mean_field", "full_rank"):
        began = time.perf_counter()
        how = ppl.VI(guide, steps=steps)
        fit = ppl.infer(logistic_regression(x), {"y": y}, method=how, draws=4000, seed=seed, progress=False)
        off = np.abs(fit.mean("beta") - exact.mean("beta")) / exact.sd("beta")
        width = fit.sd("beta") / exact.sd("beta")
        found[guide] = {"off": off.max(), "width": np.median(width), "khat": fit.khat}
        print(
            f"{guide:<12}{off.max():17.2f}{f'{width.min():.2f} to {width.max():.2f}':>16}{fit.khat:8.2f}"
            f"{fit.log_evidence:15.1f}{time.perf_counter() - began:9.1f}"
        )
    print("\nA k-hat above 0.7 says that the approximation misses a part of the posterior that matters.")
    return found


def main(
    draws: int = 200, warmup: int = 200, chains: int = 4, seed: int = 0, steps: int = 5000
) -> tuple[ppl.Posterior, float, dict[str, dict[str, float]]]:
    x, y, x_test, y_test, names = load()
    posterior = ppl.infer(
        logistic_regression(x),
        data={"y": y},
        draws=draws,
        warmup=warmup,
        chains=chains,
        seed=seed,
        coords={"measurement": names},
    )
    beta = posterior.draws["beta"]
    print("What speaks most clearly for a malignant tumour, and against (log odds per standard deviation):")
    clear = np.argsort(-np.abs(posterior.mean("beta")) / posterior.sd("beta"))[:6]
    for k in clear:
        b = beta[..., k]
        print(f"  {names[k]:<24} {b.mean():6.2f} ± {b.std():.2f}   P(> 0) = {(b > 0).mean():.2f}")

    # Does the model make data like those it learnt from?
    fitted, replicated = posterior.mean("p"), posterior.predict(seed=seed)["y"].reshape(-1, len(y))
    print("\nPosterior predictive check: malignant tumours by fitted probability")
    print("  probability   tumours   malignant   in replications (90%)")
    for low, high in [(0.0, 0.05), (0.05, 0.5), (0.5, 0.95), (0.95, 1.0)]:
        here = (fitted >= low) & (fitted <= high)
        counts = replicated[:, here].sum(1)
        a, b = np.quantile(counts, [0.05, 0.95])
        malignant = int(y.numpy()[here].sum())
        print(f"  {low:.2f} – {high:.2f}   {here.sum():7d}   {malignant:9d}   {a:.0f} to {b:.0f}")

    p = posterior.predict(logistic_regression(x_test), seed=seed)["p"].mean((0, 1))
    truth = y_test.numpy()
    right = (p > 0.5) == (truth > 0.5)
    accuracy, sure = float(right.mean()), np.abs(p - 0.5) > 0.45
    log_loss = -np.mean(truth * np.log(p) + (1 - truth) * np.log(1 - p))
    print(
        f"\nOf {len(p)} tumours held out {right.sum()} are told right "
        f"({accuracy:.1%}; log loss {log_loss:.3f}).\n"
        f"Where the model is surer than 95% ({sure.sum()} of them) {(~right & sure).sum()} are wrong; "
        f"of the other {(~sure).sum()}, {(~right & ~sure).sum()} are."
    )
    return posterior, accuracy, compare(x, y, posterior, steps, seed)


if __name__ == "__main__":
    main()
