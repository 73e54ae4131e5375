"""A Bayesian neural network on handwritten digits: averaging over weights against one best set of weights.

The model, for images i reduced to 16 principal components x_i, with one hidden layer of 10:

    W₁, b₁, W₂, b₂ ~ Normal(0, 1)            16 × 10, 10, 10 × 10 and 10 of them
    h_i = tanh(0.4 x_i W₁ + b₁)
    y_i ~ Categorical(softmax(8 (h_i W₂ + b₂)))     the digit

Hamiltonian Monte Carlo draws whole networks, and their probabilities are averaged. Two single networks stand
beside them: the mode of the same posterior (training with weight decay), and maximum likelihood (training
without). Maximum likelihood is too sure of itself; the average errs on the careful side, and is seldom wrong where
it is sure.

Data: Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository.
scikit-learn ships it (`load_digits`; pip install scikit-learn).

    python examples/bayesian_neural_network.py
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

import ppl
from ppl.distributions import Categorical, Normal

HIDDEN, CLASSES = 10, 10


def forward(
    x: torch.Tensor, w1: torch.Tensor, b1: torch.Tensor, w2: torch.Tensor, b2: torch.Tensor
) -> torch.Tensor:
    """The logits of the digits, [image, digit]."""
    return 8.0 * (torch.tanh(0.4 * x @ w1 + b1) @ w2 + b2)


@ppl.model
def network(x):
    inputs = x.shape[1]
    w1 = ppl.sample("w1", Normal(0.0, 1.0).expand([inputs, HIDDEN]))
    b1 = ppl.sample("b1", Normal(0.0, 1.0).expand([HIDDEN]))
    w2 = ppl.sample("w2", Normal(0.0, 1.0).expand([HIDDEN, CLASSES]))
    b2 = ppl.sample("b2", Normal(0.0, 1.0).expand([CLASSES]))
    logits = forward(x, w1, b1, w2, b2)
    ppl.deterministic("p", torch.softmax(logits, -1), dims=("image", "digit"))
    ppl.sample("y", Categorical(logits=logits), dims=("image",))


def load(train: int = 300) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    x, y = x[order], y[order]
    reduce = PCA(16, whiten=False, random_state=0).fit(x[:train])
    z = reduce.transform(x)
    z = torch.as_tensor(z / z[:train].std())
    y = torch.as_tensor(y)
    return z[:train], y[:train], z[train:], y[train:]


def one_network(bound: ppl.Bound, x_test: torch.Tensor, steps: int = 500) -> np.ndarray:
    """The digits' probabilities at the maximum of a program's log density, by Adam."""
    compiled = ppl.compile(bound)
    q = 0.3 * torch.randn(compiled.dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    optimiser = torch.optim.Adam([q], lr=0.03)
    for _ in range(steps):
        _, gradient = compiled.value_and_grad(q)
        q.grad = -gradient
        optimiser.step()
    w = compiled.constrain(q)
    return torch.softmax(forward(x_test, w["w1"], w["b1"], w["w2"], w["b2"]), -1).numpy()


def judge(p: np.ndarray, y: np.ndarray) -> dict[str, float]:
    """How good probabilities are; "sure but wrong" counts errors made with confidence above 0.9."""
    right, sure = p.argmax(1) == y, p.max(1)
    return {
        "accuracy": float(right.mean()),
        "log loss": float(-np.log(p[np.arange(len(y)), y]).mean()),
        "confidence": float(sure.mean()),
        "calibration error": calibration_error(p, y),
        "sure but wrong": int((~right & (sure > 0.9)).sum()),
    }


def calibration_error(p: np.ndarray, y: np.ndarray, bins: int = 10) -> float:
    """Σ over bins of confidence: share of images · |accuracy − mean confidence|."""
    sure, right = p.max(1), p.argmax(1) == y
    place = np.minimum((sure * bins).astype(int), bins - 1)
    return float(sum(abs((right - sure)[place == b].sum()) for b in range(bins)) / len(y))


def main(
    draws: int = 100, warmup: int = 120, chains: int = 4, seed: int = 0, steps: int = 25
) -> dict[str, dict[str, float]]:
    x, y, x_test, y_test = load()
    posterior = ppl.infer(
        network(x),
        data={"y": y},
        method=ppl.HMC(num_steps=steps),
        draws=draws,
        warmup=warmup,
        chains=chains,
        seed=seed,
        keep=["w1", "b1", "w2", "b2"],
        progress=False,
    )
    averaged = posterior.predict(network(x_test), seed=seed)["p"].mean((0, 1))
    truth = y_test.numpy()
    learnt = network(x).condition(y=y)
    results = {
        "maximum likelihood": judge(one_network(learnt.scale(w1=0.0, b1=0.0, w2=0.0, b2=0.0), x_test), truth),
        "mode of the posterior": judge(one_network(learnt, x_test), truth),
        f"{chains * draws} networks, averaged": judge(averaged, truth),
    }
    print(f"{len(y)} images to learn from, {len(truth)} held out\n")
    print(" " * 24 + "".join(f"{name:>19}" for name in next(iter(results.values()))))
    for name, numbers in results.items():
        print(
            f"{name:<24}"
            + "".join(f"{v:19d}" if isinstance(v, int) else f"{v:19.3f}" for v in numbers.values())
        )

    print("\nHow often it is right, by how sure it is (averaged networks)")
    sure, right = averaged.max(1), averaged.argmax(1) == truth
    for low, high in [(0.0, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 1.0)]:
        here = (sure > low) & (sure <= high)
        if here.any():
            print(
                f"  {low:.1f} – {high:.1f}  {here.sum():5d} images   sure {sure[here].mean():.2f}   "
                f"right {right[here].mean():.2f}"
            )
    return results


if __name__ == "__main__":
    main()
