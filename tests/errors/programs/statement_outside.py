import ppl
from ppl.distributions import Normal

x = ppl.sample("x", Normal(0.0, 1.0))
