import ppl
from ppl.distributions import Normal


@ppl.model
def cities(names):
    for name in names:
        mu = ppl.sample(f"mu_{name}", Normal(0.0, 5.0))
        ppl.sample(f"y_{name}", Normal(mu, 1.0))


names = ["Aachen", "Berlin", "Bonn", "Bremen", "Dresden", "Erfurt", "Essen", "Halle", "Hamburg", "Jena"]
data = {f"y_{name}": 1.0 for name in names}
data["y_Hambug"] = data.pop("y_Hamburg")
ppl.infer(cities(names), data=data)
