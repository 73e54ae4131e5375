"""Linear regression: which measurements foretell how diabetes goes on, and does a smaller model do as well?

The model, for patients i = 1 … 442 with standardised measurements x_i and standardised progression y_i:

    α   ~ Normal(0, 1)
    β_k ~ Normal(0, 1)                  one coefficient per measurement
    σ   ~ HalfNormal(1)
    y_i ~ Normal(α + x_i · β, σ)

Two models, one with all ten measurements and one with three, are compared by the expected log density of
patients left out, estimated without refitting (Pareto-smoothed importance sampling; Vehtari, Gelman, Gabry
2017).

Data: progression of diabetes after one year; Efron, Hastie, Johnstone, Tibshirani (2004), Least angle
regression, Annals of Statistics 32(2). scikit-learn ships it (`load_diabetes`; pip install scikit-learn).

    python examples/linear_regression.py
"""

import arviz
import torch
from sklearn.datasets import load_diabetes

import ppl
from ppl.distributions import HalfNormal, Normal

MEANING = {
    "age": "age",
    "sex": "sex",
    "bmi": "body mass index",
    "bp": "blood pressure",
    "s1": "total cholesterol",
    "s2": "low-density lipoproteins",
    "s3": "high-density lipoproteins",
    "s4": "cholesterol over HDL",
    "s5": "log triglycerides",
    "s6": "blood sugar",
}
FEW = ["bmi", "bp", "s5"]


@ppl.model
def linear_regression(x):
    alpha = ppl.sample("alpha", Normal(0.0, 1.0))
    beta = ppl.sample("beta", Normal(0.0, 1.0).expand([x.shape[1]]), dims=("measurement",))
    sigma = ppl.sample("sigma", HalfNormal(1.0))
    for i in ppl.plate("patient", x.shape[0]):
        ppl.sample("y", Normal(alpha + x[i] @ beta, sigma))


def standardise(x: torch.Tensor) -> torch.Tensor:
    return (x - x.mean(0)) / x.std(0)


def load() -> tuple[torch.Tensor, torch.Tensor]:
    x, y = load_diabetes(return_X_y=True)
    return standardise(torch.as_tensor(x)), standardise(torch.as_tensor(y))


def main(draws: int = 400, warmup: int = 300, chains: int = 4, seed: int = 0) -> ppl.Posterior:
    x, y = load()
    names = list(MEANING)

    def fit(columns: list[str]) -> ppl.Posterior:
        chosen = x[:, [names.index(c) for c in columns]]
        # Cholesterol's parts are nearly collinear: a dense metric keeps the trajectories short.
        return ppl.infer(
            linear_regression(chosen),
            data={"y": y},
            draws=draws,
            warmup=warmup,
            chains=chains,
            seed=seed,
            metric="dense",
            coords={"measurement": columns},
        )

    full, small = fit(names), fit(FEW)
    least_squares = torch.linalg.lstsq(x, y[:, None]).solution[:, 0]
    low, high = full.quantile("beta", [0.05, 0.95])
    print("Standard deviations of progression per standard deviation of the measurement")
    print("                                 mean    sd     90% interval      P(> 0)   least squares")
    for k, (name, words) in enumerate(MEANING.items()):
        b = full.draws["beta"][..., k]
        print(
            f"  {name:<4} {words:<25} {b.mean():6.2f}  {b.std():4.2f}   [{low[k]:5.2f}, {high[k]:5.2f}]      "
            f"{(b > 0).mean():4.2f}   {least_squares[k]:9.2f}"
        )
    explained = 1 - full.draws["sigma"] ** 2 / float(y.var())
    print(f"\nAll ten explain {explained.mean():.0%} ± {explained.std():.0%} of the variance.\n")

    table = arviz.compare({"ten measurements": full.to_arviz(), "three (bmi, bp, s5)": small.to_arviz()})
    print(table[["rank", "elpd_loo", "p_loo", "elpd_diff", "dse"]].round(1))
    worse = table.iloc[1]
    print(
        f"\nLeft out, a patient is foretold better with the {table.index[0].split()[0]}: "
        f"by {worse['elpd_diff']:.1f} ± {worse['dse']:.1f} in log density over {len(y)} patients."
    )
    return full


if __name__ == "__main__":
    main()
