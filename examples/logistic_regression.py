"""Logistic regression: benign or malignant, from measurements of cell nuclei.

The model, for tumours i with standardised measurements x_i (30 of them):

    α   ~ Normal(0, 2)
    β_k ~ Normal(0, 1)
    y_i ~ Bernoulli(logit⁻¹(α + x_i · β))         1: malignant

A tumour the model has not seen is malignant with the posterior mean of logit⁻¹(α + x · β): the mean over what
the data leave open about α and β, not the value at their best guess.

Data: Breast Cancer Wisconsin (Diagnostic), Wolberg, Mangasarian, Street, Street (1995), UCI Machine Learning
Repository. scikit-learn ships it (`load_breast_cancer`; pip install scikit-learn).

    python examples/logistic_regression.py
"""

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


def main(draws: int = 200, warmup: int = 200, chains: int = 4, seed: int = 0) -> tuple[ppl.Posterior, float]:
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
    return posterior, accuracy


if __name__ == "__main__":
    main()
