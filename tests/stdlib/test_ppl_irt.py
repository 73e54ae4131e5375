"""Item response models against probabilities written out for every answer."""

from __future__ import annotations

import torch
from closed_form import Values, agrees
from torch.distributions import HalfNormal, LogNormal, Normal

import ppl

library = ppl.std.irt
PERSON = torch.tensor([0, 0, 1, 2, 2, 2])
ITEM = torch.tensor([0, 1, 1, 0, 1, 0])
RIGHT = torch.tensor([1, 0, 1, 1, 0, 0])
GRADE = torch.tensor([0, 3, 1, 2, 0, 3])


def log_right(logits: torch.Tensor) -> torch.Tensor:
    p = torch.sigmoid(logits)
    return torch.where(RIGHT == 1, p, 1 - p).log().sum()


def items(v: Values) -> torch.Tensor:
    prior = Normal(0.0, 1.0).log_prob(v["ability"]).sum() + Normal(0.0, 3.0).log_prob(v["difficulty"]).sum()
    return prior + LogNormal(0.0, 0.5).log_prob(v["discrimination"]).sum()


def test_rasch() -> None:
    def formula(v: Values) -> torch.Tensor:
        prior = HalfNormal(1.0).log_prob(v["sigma"]) + Normal(0.0, 1.0).log_prob(v["z"]).sum()
        prior = prior + Normal(0.0, 3.0).log_prob(v["difficulty"]).sum()
        return prior + log_right((v["sigma"] * v["z"])[PERSON] - v["difficulty"][ITEM])

    agrees(library.rasch(3, 2, PERSON, ITEM, RIGHT), formula)


def test_two_parameter() -> None:
    def formula(v: Values) -> torch.Tensor:
        logits = v["discrimination"][ITEM] * (v["ability"][PERSON] - v["difficulty"][ITEM])
        return items(v) + log_right(logits)

    agrees(library.two_parameter(3, 2, PERSON, ITEM, RIGHT), formula)


def test_graded_response() -> None:
    def formula(v: Values) -> torch.Tensor:
        total = items(v)
        for person, item, grade in zip(PERSON, ITEM, GRADE.tolist(), strict=True):
            above = torch.sigmoid(v["discrimination"][item] * (v["ability"][person] - v["difficulty"][item]))
            edges = torch.cat([torch.ones(1), above, torch.zeros(1)])
            total = total + torch.log(edges[grade] - edges[grade + 1])
        return total

    agrees(library.graded_response(3, 2, 4, PERSON, ITEM, GRADE), formula)
