"""From a recipe to paid jobs: what each job asks for, which image it makes, what makes it the same job, what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_mixer.mixing.errors import InputError, WeightsError
from image_mixer.mixing.mix import Ingredient, Mix, Region
from image_mixer.remote.endpoints import Endpoint
from image_mixer.remote.run.identity import attempt_identity, job_identity
from image_mixer.remote.run.plan import PlannedJob, count_different_jobs, plan, single_job
from image_mixer.tests.remote import harness
from image_mixer.tests.support.pictures import coloured, size_of

V6 = Endpoint("six", "https://service.example/api/v6")
V5 = Endpoint("five", "https://service.example/api/v5", wire="v5")
FOUR = replace(V5, name="four", images_per_job=4)
A, B = (f"sha256:{coloured(colour).digest}" for colour in ((200, 30, 30), (30, 30, 200)))


def planned(recipe: Any, endpoint: Endpoint = V6, take: int = 0, track_id: str = "") -> tuple[PlannedJob, ...]:
    return plan(recipe, endpoint, take, track_id, size_of)


def one(recipe: Any, endpoint: Endpoint = V6, **more: Any) -> PlannedJob:
    (job,) = planned(recipe, endpoint, **more)
    return job


def mixed(*ingredients: Ingredient, weights: tuple[float, ...] | None = None, **changes: Any) -> Any:
    mix = Mix(ingredients, (weights or (1.0,) * len(ingredients),))
    return replace(harness.recipe(**changes), mix=mix)


# Which jobs there are


@pytest.mark.parametrize(
    ("endpoint", "changes", "jobs"),
    [
        (V6, {}, [((0,), (0,), 12345)]),
        (V6, {"samples": 3}, [((0,), (0,), 12345), ((1,), (1,), 12346), ((2,), (2,), 12347)]),
        (V6, {"samples": 2, "seed": -1}, [((0,), (0,), None), ((1,), (1,), None)]),
        (
            V6,
            {"samples": 2, "weights": ((0.5, 0.7), (1.0, 0.0))},
            [((0,), (0,), 12345), ((1,), (1,), 12346), ((2,), (0,), 12345), ((3,), (1,), 12346)],
        ),
        (FOUR, {"samples": 4}, [((0, 1, 2, 3), (0, 1, 2, 3), 12345)]),
        (FOUR, {"samples": 6}, [((0, 1, 2, 3), (0, 1, 2, 3), 12345), ((4, 5), (4, 5), 12349)]),
        (FOUR, {"samples": 2, "weights": ((0.5, 0.7), (1.0, 1.0))}, [((0, 1), (0, 1), 12345), ((2, 3), (0, 1), 12345)]),
        (FOUR, {"samples": 6, "seed": -1}, [((0, 1, 2, 3), (0, 1, 2, 3), None), ((4, 5), (4, 5), None)]),
    ],
)
def test_each_image_has_one_job_with_its_seed(endpoint: Endpoint, changes: dict[str, Any], jobs: list[Any]) -> None:
    found = planned(harness.recipe(**changes), endpoint)
    assert [(job.images, job.samples, job.request.seed) for job in found] == jobs
    assert all(job.request.samples == len(job.images) == len(job.samples) for job in found)
    assert [job.variant for job in found] == [job.images[0] // changes.get("samples", 1) for job in found]


@pytest.mark.parametrize(
    ("mode", "weights", "images", "sent", "effective"),
    [
        ("send", (0.5, 0.7), (A, B), (0.5, 0.7), (0.5, 0.7)),
        ("send", (0.5, 0.0), (A,), (0.5,), (0.5, 0.0)),
        ("send", (0.0, 2.0), (B,), (1.0,), (0.0, 1.0)),
        ("send", (1.0, 2.0), (A, B), (0.5, 1.0), (0.5, 1.0)),
        ("repeat", (1.0, 3.0), (A, B, B, B), (1.0,) * 4, (0.25, 0.75)),
        ("ignore", (0.3, 0.3), (A, B), (1.0, 1.0), (1.0, 1.0)),
    ],
)
def test_images_and_weights_of_a_request(mode: Any, weights: Any, images: Any, sent: Any, effective: Any) -> None:
    job = one(harness.recipe((weights,)), replace(V6, weights=mode))
    assert (job.request.images, job.request.weights, job.effective) == (images, sent, effective)
    assert [None if p is None else f"sha256:{p.digest}" for p in job.pictures] == list(images)
    urls = tuple(f"https://u/{n}" for n in range(len(images)))
    assert job.with_urls(urls) == replace(job.request, images=urls)


def test_texts_join_the_prompt_and_urls_are_sent_as_they_are() -> None:
    recipe = mixed(
        Ingredient("url", " https://a.example/b,c.png "),
        Ingredient("text", " in oil "),
        Ingredient("text", "unused"),
        Ingredient("image", coloured((200, 30, 30))),
        weights=(0.5, 0.3, 0.0, 1.0),
    )
    job = one(recipe, V5)
    assert job.request.prompt == "rose man, in oil"
    assert job.request.images == ("https://a.example/b,c.png", A) and job.pictures[0] is None
    assert job.effective == (0.5, 1.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("ingredient", "size", "wanted"),
    [
        (Ingredient("image", coloured(size=(300, 100))), (0, 0), (768, 256)),
        (Ingredient("image", coloured(size=(300, 100))), (512, 256), (512, 256)),
        (Ingredient("url", "https://a.example/i.png"), (0, 0), (None, None)),
        (Ingredient("url", "https://a.example/i.png"), (512, 256), (512, 256)),
    ],
)
def test_the_size_of_the_images(ingredient: Ingredient, size: tuple[int, int], wanted: Any) -> None:
    request = one(mixed(ingredient, width=size[0], height=size[1]), V5).request
    assert (request.width, request.height) == wanted


def test_the_other_fields_of_a_request() -> None:
    endpoint = replace(V5, webhook="https://hooks.example/x")
    recipe = harness.recipe(negative_prompt="blur", steps=41, guidance_scale=7)
    request = one(recipe, endpoint, track_id=" 41 ").request
    assert (request.negative_prompt, request.steps, request.guidance_scale) == ("blur", 41, 7.0)
    assert type(request.guidance_scale) is float
    assert (request.webhook, request.track_id) == ("https://hooks.example/x", "41")
    assert one(recipe, V5).request.webhook is None


# What makes two jobs the same job


BASE = one(harness.recipe())
SAME = {
    "webhook": (harness.recipe(), replace(V6, webhook="https://hooks.example/x"), {}),
    "track_id": (harness.recipe(), V6, {"track_id": "41"}),
    "the name of the endpoint": (harness.recipe(), replace(V6, name="other"), {}),
    "the credential": (harness.recipe(), replace(V6, credential="OTHER_KEY"), {}),
    "a slash at the end of the base URL": (harness.recipe(), replace(V6, base_url=f"{V6.base_url}/"), {}),
    "weights equal to six decimals": (harness.recipe(((0.5, 0.7000000001),)), V6, {}),
}
OTHER = {
    "prompt": (harness.recipe(prompt="rose"), V6, {}),
    "negative prompt": (harness.recipe(negative_prompt="blur"), V6, {}),
    "seed": (harness.recipe(seed=12346), V6, {}),
    "steps": (harness.recipe(steps=31), V6, {}),
    "guidance scale": (harness.recipe(guidance_scale=3.5), V6, {}),
    "size": (harness.recipe(width=512), V6, {}),
    "weights": (harness.recipe(((0.5, 0.6),)), V6, {}),
    "weights that differ in the sixth decimal": (harness.recipe(((0.5, 0.700001),)), V6, {}),
    "images": (harness.recipe(((0.5, 0.0),)), V6, {}),
    "take": (harness.recipe(), V6, {"take": 1}),
    "base URL": (harness.recipe(), replace(V6, base_url="https://other.example/api/v6"), {}),
    "wire format": (harness.recipe(), replace(V6, wire="v5"), {}),
    "whether weights are sent": (harness.recipe(((1.0, 1.0),)), replace(V6, weights="ignore"), {}),
}


@pytest.mark.parametrize("name", SAME)
def test_what_does_not_change_a_jobs_identity(name: str) -> None:
    recipe, endpoint, more = SAME[name]
    assert one(recipe, endpoint, **more).identity == BASE.identity


def test_what_changes_a_jobs_identity() -> None:
    found = {name: one(recipe, endpoint, **more).identity for name, (recipe, endpoint, more) in OTHER.items()}
    assert len({BASE.identity, *found.values()}) == 1 + len(OTHER), found


FROZEN = {
    "v6": "38777269930f49c9786624d3d99dd4bd669bef36018468c4225f9c01cd7a1e1c",
    "v5": "8aa59ad332ed08d75a2325a75ad1673126337de896e74ac984bc9b47e9e99038",
    "drawn": "73bccad33acffeac08fa3ad98f5db0d40f85159f30eccd8be8aa4127abe1fe47",
    "resent": "c8d023c36a316344a9579e13f8c8c40c602636162cc8188b65d054fe8f02ddcd",
}


def test_identities_are_frozen() -> None:
    """As version 0.1.0 made them. If one changed, users would pay again for what they have."""
    request = replace(BASE.request, images=("sha256:ab", "https://a.example/b,c.png"))
    assert job_identity(V6.base_url, "v6", request, True, 0, 0) == FROZEN["v6"]
    assert job_identity(V5.base_url, "v5", request, True, 3, 0) == FROZEN["v5"]
    drawn = replace(request, seed=None, width=None, height=None)
    assert job_identity(V6.base_url, "v6", drawn, False, 0, 2) == FROZEN["drawn"]
    assert attempt_identity("ab", 0, False) == "ab"
    assert attempt_identity("ab", 2, True) == FROZEN["resent"]


def test_a_format_that_came_later_has_identities_of_its_own() -> None:
    later = job_identity(V6.base_url, "v7", BASE.request, True, 0, 0)
    assert later == job_identity(V6.base_url, "v7", BASE.request, True, 0, 0) != BASE.identity


def test_samples_of_a_drawn_seed_are_different_jobs_and_those_of_a_given_seed_differ_by_it() -> None:
    assert len({job.identity for job in planned(harness.recipe(seed=-1, samples=3))}) == 3
    assert planned(harness.recipe(samples=2))[1].identity == one(harness.recipe(seed=12346)).identity


@pytest.mark.parametrize("position", [0, 1, 3])
def test_a_single_image_of_a_job_is_the_job_of_its_own_seed(position: int) -> None:
    (job,) = planned(harness.recipe(samples=4), FOUR)
    single = single_job(job, position, FOUR, 0)
    alone = one(harness.recipe(seed=12345 + position), FOUR)
    assert (single.identity, single.request) == (alone.identity, alone.request)
    assert (single.images, single.samples, single.variant) == ((position,), (position,), 0)


def test_single_images_of_a_drawn_seed_are_different_jobs() -> None:
    (job,) = planned(harness.recipe(samples=4, seed=-1), FOUR)
    singles = [single_job(job, position, FOUR, 0) for position in range(4)]
    assert len({single.identity for single in (job, *singles)}) == 5
    assert all(single.request.seed is None for single in singles)


ROWS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 0.50000001, 0.7, 1.0]), st.sampled_from([0.3, 0.7, 2.0])),
    min_size=1,
    max_size=6,
)


@given(
    ROWS, st.integers(1, 9), st.sampled_from([V6, V5, FOUR, replace(V6, weights="repeat")]), st.sampled_from([-1, 7])
)
def test_the_count_of_different_jobs_is_that_of_the_plan(
    rows: list[tuple[float, float]], samples: int, endpoint: Endpoint, seed: int
) -> None:
    recipe = harness.recipe(tuple(rows), samples=samples, seed=seed)
    assert count_different_jobs(recipe, endpoint) == len({job.identity for job in planned(recipe, endpoint)})


# What is refused


PICTURE = coloured()
FIVE = tuple(Ingredient("image", coloured((n, 0, 0))) for n in range(5))


@pytest.mark.parametrize(
    ("recipe", "endpoint", "error", "line"),
    [
        (harness.recipe(((-0.5, 1.0),)), V6, WeightsError, "variant 1 has -0.5"),
        (harness.recipe(((1.0, 1.0), (0.0, 0.0))), V6, WeightsError, "no image has a weight above 0 in variant 2"),
        (mixed(Ingredient("text", "oil")), V6, WeightsError, "no image has a weight"),
        (mixed(*FIVE), V6, InputError, "at most 4 images, and variant 1 has 5"),
        (mixed(Ingredient("image", PICTURE, Region("r", None))), V6, InputError, "has no regions"),
        (mixed(Ingredient("image", PICTURE, start=0.5)), V6, InputError, "has no spans"),
        (mixed(Ingredient("image", PICTURE, end=0.5)), V6, InputError, "has no spans"),
        (mixed(Ingredient("url", "file:///etc/passwd")), V6, InputError, "not a plain http or https URL"),
        (mixed(Ingredient("url", "https://u@a.example/")), V6, InputError, "not a plain http or https URL"),
        (harness.recipe(prompt=" "), V6, InputError, "needs a prompt"),
        (harness.recipe(steps=51), V6, InputError, "steps"),
        (harness.recipe(((0.5, 0.7),)), replace(V6, weights="ignore"), InputError, "ignores weights"),
    ],
)
def test_what_is_refused(recipe: Any, endpoint: Endpoint, error: type[Exception], line: str) -> None:
    with pytest.raises(error, match=line) as caught:
        planned(recipe, endpoint)
    assert "\n" not in str(caught.value)


def test_what_has_no_weight_is_not_refused() -> None:
    picture = Ingredient("image", coloured((200, 30, 30)))
    unused = Ingredient("image", PICTURE, Region("r", None), start=0.5)
    assert one(mixed(picture, unused, weights=(1.0, 0.0))).request.images == (A,)
    assert one(mixed(*FIVE, weights=(1.0, 1.0, 1.0, 1.0, 0.0))).request.weights == (1.0,) * 4
