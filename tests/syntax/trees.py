"""Random programs as trees, every construct of the language: syntactically right, not meant to make sense."""

from __future__ import annotations

from hypothesis import strategies as st

from ppl.syntax import tree

_KEYWORDS = {
    "for", "in", "if", "elif", "else", "with", "import", "from", "as", "model", "guide", "objective", "def", "data", "infer",
    "param", "state", "deterministic", "factor", "observe", "set", "return", "pass", "and", "or", "not", "true", "false",
}  # fmt: skip
WORDS = st.from_regex(r"[a-zA-Zα-ω][a-zA-Z0-9_]{0,6}", fullmatch=True).filter(lambda w: w not in _KEYWORDS)
NAMES = st.builds(tree.Name, WORDS)
TEXTS = st.text("abc XYZ,.'()#~=[]é", max_size=12).map(str.strip)


def _number(text: str) -> tree.Number:
    digits = text.replace("_", "")
    return tree.Number(int(digits) if digits.isdigit() else float(digits), text)


NUMBERS = st.sampled_from(["0", "1", "42", "1_000", "2.5", ".5", "3.", "1e-3", "6.02e23", "0.1"]).map(_number)
LEAVES = st.one_of(NAMES, NUMBERS, st.builds(tree.Boolean, st.booleans()))


def _several(parts: st.SearchStrategy, least: int = 0, most: int = 3) -> st.SearchStrategy:
    return st.lists(parts, min_size=least, max_size=most).map(tuple)


def _larger(inner: st.SearchStrategy) -> st.SearchStrategy:
    """Expressions made of smaller ones; what only primaries may be (called, indexed) is put in parentheses."""
    primary = st.one_of(NAMES, inner.map(tree.Parenthesised))
    keywords = _several(st.builds(tree.Keyword, NAMES, inner), most=2)
    slices = st.builds(tree.Slice, st.none() | inner, st.none() | inner)
    compared = st.integers(1, 2).flatmap(
        lambda n: st.builds(
            tree.Compare,
            inner,
            st.lists(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]), min_size=n, max_size=n).map(tuple),
            st.lists(inner, min_size=n, max_size=n).map(tuple),
        )
    )
    return st.one_of(
        st.builds(tree.Unary, st.sampled_from(["-", "+", "not"]), inner),
        st.builds(
            tree.Binary,
            st.sampled_from(["+", "-", "*", "/", "//", "%", "@", "**", "and", "or"]),
            inner,
            inner,
        ),
        compared,
        st.builds(tree.Conditional, inner, inner, inner),
        st.builds(tree.Call, primary, _several(inner), keywords),
        st.builds(tree.Index, primary, _several(st.one_of(inner, slices), 1)),
        st.builds(tree.Attribute, primary, NAMES),
        st.builds(tree.List, _several(inner)),
        st.builds(tree.Tuple, _several(inner)),
        inner.map(tree.Parenthesised),
    )


EXPRESSIONS = st.recursive(LEAVES, _larger, max_leaves=8)
TYPES = st.builds(
    tree.Type,
    NAMES,
    _several(EXPRESSIONS, most=2),
    _several(st.builds(tree.Keyword, NAMES, EXPRESSIONS), most=2),
    _several(EXPRESSIONS, most=2),
)
TARGETS = st.builds(tree.Target, NAMES, _several(EXPRESSIONS, most=2))
OPTIONAL_TYPES = st.none() | TYPES
VALUES = st.one_of(EXPRESSIONS, st.builds(tree.Tuple, _several(EXPRESSIONS, 2)))


def _assign(
    targets: tuple[tree.Target, ...], kind: tree.Type | None, operator: str, value: tree.Expression
) -> tree.Assign:
    return (
        tree.Assign(targets, None, "", value)
        if len(targets) > 1
        else tree.Assign(targets, kind, operator, value)
    )


SIMPLE = st.one_of(
    st.builds(
        tree.Sample,
        TARGETS,
        OPTIONAL_TYPES,
        EXPRESSIONS,
        _several(st.builds(tree.Keyword, NAMES, EXPRESSIONS), most=2),
    ),
    st.builds(tree.Observe, TARGETS, EXPRESSIONS, EXPRESSIONS),
    st.builds(
        _assign, _several(TARGETS, 1), OPTIONAL_TYPES, st.sampled_from(["", "", "+", "-", "*", "/"]), VALUES
    ),
    st.builds(tree.Keep, st.sampled_from(["deterministic", "factor"]), TARGETS, EXPRESSIONS),
    st.builds(
        tree.Declare, st.sampled_from(["param", "state"]), TARGETS, OPTIONAL_TYPES, st.none() | EXPRESSIONS
    ),
    st.builds(tree.SetState, TARGETS, EXPRESSIONS),
    st.builds(tree.Return, st.none() | VALUES),
    st.builds(tree.Pass),
    st.builds(tree.Docstring, TEXTS),
    st.builds(tree.Evaluate, EXPRESSIONS),
)


def _compound(inner: st.SearchStrategy) -> st.SearchStrategy:
    body = _several(inner, 1)
    branches = _several(st.builds(tree.Branch, EXPRESSIONS, body), 1)
    return st.one_of(
        st.builds(tree.For, NAMES, EXPRESSIONS, body), st.builds(tree.If, branches, st.just(()) | body)
    )


BODIES = _several(st.recursive(SIMPLE, _compound, max_leaves=4), 1)
PARAMETERS = _several(st.builds(tree.Parameter, NAMES, OPTIONAL_TYPES, st.none() | EXPRESSIONS))
PATHS = _several(NAMES, 1)
IMPORTS = st.one_of(
    st.builds(tree.Import, PATHS, st.none() | NAMES),
    st.builds(tree.Import, PATHS, st.none(), _several(st.builds(tree.Imported, NAMES, st.none() | NAMES), 1)),
)
ITEMS = st.one_of(
    st.builds(tree.Heading, TEXTS.filter(bool)),
    IMPORTS,
    st.builds(tree.Function, NAMES, PARAMETERS, OPTIONAL_TYPES, BODIES),
    st.builds(
        tree.Program,
        st.sampled_from(["model", "guide", "objective"]),
        NAMES,
        st.none() | PARAMETERS,
        st.none() | NAMES,
        BODIES,
    ),
    st.builds(
        tree.Settings,
        st.sampled_from(["data", "infer"]),
        _several(st.builds(tree.Keyword, NAMES, EXPRESSIONS), 1),
    ),
)
FILES = st.builds(tree.File, st.just("<random>"), _several(ITEMS, 1))
