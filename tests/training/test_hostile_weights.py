"""Weights, the files beside them and checkpoints that are broken or mean harm, made from what they should be.

Each field is taken away, given another type, a value that is none, or an enormous one. Each such file gets one
sentence; nothing in a pickle is executed, and no network is built that the weights are not those of.
"""

import hashlib
import io
import json
import math
import os
import pickle
import struct
import zipfile
from functools import partial

import numpy as np
import pytest
import torch
from bounded import within_bounds
from safetensors.torch import save_file

from posegen.cli.describe import describe
from posegen.core import UserError, preset
from posegen.data import Example, open_store, write_store
from posegen.networks import Stage1Generator, Stage2Generator
from posegen.photos.framing import Framing
from posegen.runs.graph import evaluation_alone
from posegen.training.checkpoints import SNAPSHOT, load_checkpoint, read_checkpoint, save_checkpoint
from posegen.training.generators import run_generators
from posegen.training.pretrained import load_pretrained, save_pretrained
from posegen.training.side_files import DESCRIPTION
from posegen.training.stages import train_stage1
from posegen.training.weights import check_refines, load_generator, save_weights

CONFIG = preset("test")
CPU = torch.device("cpu")


def refused(action, pattern=None):
    with within_bounds(), pytest.raises(UserError, match=pattern) as caught:
        action()
    sentence = str(caught.value)
    assert "\n" not in sentence and len(sentence) < 600 and sentence.endswith((".", "?")), sentence
    for advice in ("weights_only", "torch.load", "Traceback", "add_safe_globals"):
        assert advice not in sentence
    return sentence


@pytest.fixture
def folder(tmp_path):
    "A stage 1 and a stage 2 with their descriptions."
    for name, network in (("stage1", Stage1Generator(CONFIG)), ("stage2", Stage2Generator(CONFIG))):
        facts = dict(steps=4, seconds=1.5, precision="float32", validation_error=0.5, adversary="pair")
        save_weights(network, tmp_path, name, CONFIG, framing=vars(Framing()), **facts)
    return tmp_path


def describe_anew(folder, **changes):
    "Change facts of stage 1's description; `absent` takes one away."
    path = folder / "stage1.json"
    facts = json.loads(path.read_text())
    absent = changes.pop("absent", None)
    facts.pop(absent, None)
    path.write_text(json.dumps({**facts, **changes}))


def test_the_whole_ones_are_read(folder):
    loaded = load_pretrained(folder)
    assert loaded.framing == Framing() and loaded.size == 32 and loaded.stage2 is not None
    save_pretrained(folder, folder, folder / "small")
    assert load_pretrained(folder / "small").framing == Framing()
    assert "steps 4" in "\n".join(describe(folder / "stage1.json"))


# Weights that do not belong together


def described(folder, name, **facts):
    path = folder / f"{name}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def test_a_stage_2_of_another_stage_1_or_adversary(folder, tmp_path):
    facts = json.loads((folder / "stage2.json").read_text())
    facts.pop("precision")  # these were not converted
    ours = hashlib.sha256((folder / "stage1.safetensors").read_bytes()).hexdigest()
    (folder / "stage2.json").write_text(json.dumps({**facts, "stage1": ours}))
    check_refines(folder, folder, "pair")
    assert load_pretrained(folder).stage2 is not None
    refused(
        lambda: check_refines(folder, folder, "triplet"),
        f'was trained as "pair", not "triplet": give pair={folder}',
    )
    words = ("test", {}, "s.h5", str(folder), [f"triplet={folder}"], str(tmp_path / "out"))
    refused(lambda: evaluation_alone(*words), 'was trained as "pair"')
    described(folder, "stage2", stage1="0" * 64)
    refused(lambda: check_refines(folder, folder, "pair"), "on top of another stage 1")
    refused(lambda: load_pretrained(folder), "on top of another stage 1")
    described(folder, "stage2", precision="float16")  # converted: its stage 1 was, too
    assert load_pretrained(folder).stage2 is not None


@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_weights_whose_drawings_are_no_numbers(folder, stage):
    "Each weight is a number, but their sums are too large for any; the picture would be black."
    network = {"stage1": Stage1Generator, "stage2": Stage2Generator}[stage](CONFIG)
    save_file(
        {key: filled(1e30, value) for key, value in network.state_dict().items()},
        folder / f"{stage}.safetensors",
    )
    stage1, stage2, *_ = load_pretrained(folder)
    photo, pose = np.zeros((1, 32, 32, 3), np.uint8), np.ones((1, 18, 3), np.float32)
    refused(
        lambda: run_generators(stage1, {"G2": stage2}, photo, pose, pose), "drew values that are no numbers"
    )


# What a description may not say
# What a description may not say

WRONG = {
    "null": None,
    "list": [1],
    "text": "much",
    "number": 1.5,
    "dictionary": {"a": 1},
    "yes": True,
    "deep": None,
}
FOR_NUMBERS = {"nan": math.nan, "infinite": math.inf, "below": -1, "1e400": 10**400}


def wrong_facts():
    for name, types in DESCRIPTION.items():
        for kind, value in WRONG.items():
            fitting = isinstance(value, types) and not isinstance(value, bool)
            if kind != "deep" and not fitting:
                yield pytest.param(name, value, id=f"{name}: {kind}")
        if int in types:
            yield from (
                pytest.param(name, value, id=f"{name}: {kind}") for kind, value in FOR_NUMBERS.items()
            )


@pytest.mark.parametrize("name, value", list(wrong_facts()))
def test_a_fact_of_another_type(folder, name, value):
    describe_anew(folder, **{name: value})
    refused(lambda: load_generator(folder, "stage1", device=CPU), f'stage1.json is damaged: its "{name}"')
    refused(lambda: load_pretrained(folder), name)


@pytest.mark.parametrize("name", ("kind", "config"))
def test_a_fact_that_is_missing(folder, name):
    describe_anew(folder, absent=name)
    refused(lambda: load_generator(folder, "stage1", device=CPU), f'its "{name}" is missing')


DAMAGED = {
    "empty": b"",
    "cut": b'{"kind": "stage1", "config": {"si',
    "no text": b"\xff\xfe\x00",
    "a list": b"[]",
    "a number": b"3",
    "null": b"null",
    "deep lists": b"[" * 200_000,
    "deep dictionaries": b'{"a":' * 200_000,
    "a long number": b'{"kind": ' + b"9" * 9999 + b"}",
    "deep inside": b'{"kind": "stage1", "config": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "too large": b" " * (2**24 + 1),
    "a pickle": pickle.dumps({"kind": "stage1"}),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_description_that_is_none(folder, kind):
    (folder / "stage1.json").write_bytes(DAMAGED[kind])
    refused(lambda: load_generator(folder, "stage1", device=CPU), "stage1.json is damaged")
    refused(lambda: load_pretrained(folder), "stage1.json is damaged")
    refused(lambda: describe(folder / "stage1.safetensors"), "stage1.json is damaged")


# Configurations

STRANGE = {
    "text": "wide",
    "list": [4],
    "null": None,
    "yes": True,
    "nan": math.nan,
    "huge": 10**400,
    "below": -1,
}


def wrong_fields():
    for name, usual in CONFIG.to_dict().items():
        for kind, value in STRANGE.items():
            if isinstance(usual, str) and (kind == "text" and name == "preset"):
                continue
            yield pytest.param(name, value, id=f"{name}: {kind}")


@pytest.mark.parametrize("name, value", list(wrong_fields()))
def test_a_field_of_the_configuration_that_cannot_be(folder, name, value):
    describe_anew(folder, config={**CONFIG.to_dict(), name: value})
    refused(lambda: load_generator(folder, "stage1", device=CPU), f"stage1.json: .*{name}")


LARGE = [
    dict(size=10**9),
    dict(size=2**14, blocks=14),
    dict(size=2**14),
    dict(width=100_000),
    dict(width=2**62),
    dict(width=10**9, blocks=5),
    dict(bottleneck=10**12),
    dict(bottleneck=2**62),
    dict(blocks=10**9),
    dict(blocks=64, size=2**14),
    dict(width=8),
    dict(upsample="transposed"),
    dict(downsample="strided_conv"),
    dict(norm="none"),
]


@pytest.mark.parametrize("changes", LARGE, ids=str)
def test_a_configuration_of_another_network_is_not_built(folder, changes):
    describe_anew(folder, config={**CONFIG.to_dict(), **changes})
    refused(lambda: load_generator(folder, "stage1", device=CPU), "stage1")


def test_an_unknown_field_is_named(folder):
    describe_anew(folder, config={**CONFIG.to_dict(), "widht": 4})
    refused(
        lambda: load_generator(folder, "stage1", device=CPU),
        'no configuration field "widht"; did you mean "width"',
    )


# Framings


@pytest.mark.parametrize("name", Framing.__dataclass_fields__)
@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, 1e308, -1e308, 10**400, 21, "high", None, [0.4], {"a": 1}, True],
    ids=lambda value: str(value)[:8],
)
def test_a_framing_that_is_none(folder, name, value):
    describe_anew(folder, framing={**vars(Framing()), name: value})
    refused(lambda: load_pretrained(folder), f'stage1.json: its framing has .* for "{name}"')


def test_a_framing_of_other_lengths(folder):
    describe_anew(folder, framing={"below": 1})
    refused(lambda: load_pretrained(folder), "it may have: above, full, knee, upper")
    describe_anew(folder, framing={"above": 1, "full": 0})  # the others as usual
    assert load_pretrained(folder).framing == Framing(above=1, full=0)


# Weights


def weigh(folder, change):
    "Write the weights of stage 1 after a change to them."
    state = {name: value.clone() for name, value in Stage1Generator(CONFIG).state_dict().items()}
    change(state)
    save_file(state, folder / "stage1.safetensors")


def spoil(key, value, state):
    state[key] = value(state[key])


def filled(value, tensor):
    return torch.full_like(tensor, value)


def one_wrong(value, tensor):
    changed = tensor.contiguous().clone()
    changed.view(-1)[-1] = value
    return changed


TENSORS = {
    "nan": partial(filled, math.nan),
    "infinite": partial(filled, -math.inf),
    "one nan": partial(one_wrong, math.nan),
    "one infinite": partial(one_wrong, math.inf),
    "too large for 32 bits": lambda tensor: tensor.double() + 1e300,
    "int64": lambda tensor: tensor.long(),
    "int8": lambda tensor: tensor.to(torch.int8),
    "bool": lambda tensor: tensor.bool(),
    "another shape": lambda tensor: tensor[None].contiguous(),
    "one more": lambda tensor: torch.cat([tensor, tensor[:1]]),
    "flat": lambda tensor: torch.zeros(tensor.numel() + 1),
    "none": lambda tensor: torch.zeros(0),
    "a single one": lambda tensor: torch.tensor(1.0),
}
KEYS = ("encoder.blocks.0.convolutions.0.0.weight", "squeeze.weight", "decoder.image.bias")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("kind", TENSORS)
def test_a_weight_that_is_none(folder, key, kind):
    weigh(folder, partial(spoil, key, TENSORS[kind]))
    refused(lambda: load_generator(folder, "stage1", device=CPU), f"stage1.safetensors.*{key}")


@pytest.mark.parametrize("key", KEYS)
def test_a_weight_that_is_missing_or_too_many(folder, key):
    weigh(folder, lambda state: state.pop(key))
    refused(lambda: load_generator(folder, "stage1", device=CPU), f"it has no {key}")
    weigh(folder, lambda state: state.update({key + "2": torch.zeros(1)}))
    refused(lambda: load_generator(folder, "stage1", device=CPU), f'it has "{key}2"')


def test_half_precision_and_double_are_weights_too(folder):
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        weigh(folder, lambda state: state.update({key: value.to(dtype) for key, value in state.items()}))
        assert load_generator(folder, "stage1", device=CPU).squeeze.bias.dtype == torch.float32


def header(content, length=None, data=b""):
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype="F32", shape=(8,), offsets=(0, 32)):
    return {"squeeze.bias": {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}}


FILES = {
    "empty": b"",
    "no header": b"weights",
    "a header of 2 ** 63 bytes": header(b"{}", 2**63),
    "a header of 10 GB": header(b"{}", 10**10),
    "no JSON": header(b"{{{{"),
    "deep JSON": header(b'{"a":' * 100_000),
    "a list": header([]),
    "no tensor": header({}),
    "offsets beyond": header(entry(offsets=(0, 10**12)), data=bytes(32)),
    "offsets below": header(entry(offsets=(32, 0)), data=bytes(32)),
    "another length": header(entry(shape=(9,)), data=bytes(32)),
    "a shape of 10 ** 15": header(entry(shape=(10**15,)), data=bytes(32)),
    "an unknown type": header(entry(dtype="F31"), data=bytes(32)),
    "text for numbers": header(entry(shape=("8",)), data=bytes(32)),
    "a pickle": pickle.dumps({"squeeze.bias": 1}),
    "an archive": b"PK\x03\x04" + bytes(100),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_holds_no_weights(folder, kind):
    (folder / "stage1.safetensors").write_bytes(FILES[kind])
    refused(lambda: load_generator(folder, "stage1", device=CPU), "stage1.safetensors")
    if kind != "no tensor":
        refused(lambda: describe(folder / "stage1.safetensors"), "stage1.safetensors is damaged")


def test_special_files_are_no_weights(folder):
    for name in ("stage1.safetensors", "stage1.json"):
        (folder / name).rename(folder / "aside")
        os.mkfifo(folder / name)
        with within_bounds(5), pytest.raises(UserError):
            load_generator(folder, "stage1", device=CPU)
        with within_bounds(5), pytest.raises(UserError):
            describe(folder / name)
        (folder / name).unlink()
        (folder / "aside").rename(folder / name)


# Checkpoints


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    "A store, and the checkpoint of a training on it that was stopped after two of four steps."
    place = tmp_path_factory.mktemp("stopped")
    generator = np.random.default_rng(0)

    def examples():
        for person, split in enumerate(("train", "train", "test")):
            for view in range(3):
                points = np.concatenate([generator.uniform(0, 32, (18, 2)), np.ones((18, 1))], 1)
                pixels = generator.integers(0, 255, (32, 32, 3), np.uint8)
                yield Example(
                    pixels, points.astype(np.float32), f"{person}/{view}.png", split, person, person
                )

    write_store(place / "store.h5", examples(), 32, "noise")

    class Stop:
        "A watcher that stops the training."

        def resumed(self, history): ...

        def sampled(self, step, images): ...

        def close(self): ...

        def logged(self, step, values):
            if step == 3:
                raise InterruptedError

    with pytest.raises(InterruptedError):
        train_stage1(CONFIG, open_store(place / "store.h5"), place / "run", CPU, watchers=[Stop()])
    return place


def go_on(stopped, out, change):
    "Go on with the training from a checkpoint that was changed."
    saved = read_checkpoint(stopped / "run" / "checkpoint.pt")
    changed = change(saved)
    out.mkdir(exist_ok=True)
    save_checkpoint(out / "checkpoint.pt", saved if changed is None else changed)
    train_stage1(CONFIG, open_store(stopped / "store.h5"), out, CPU)


def test_the_whole_one_goes_on(stopped, tmp_path):
    go_on(stopped, tmp_path / "run", lambda saved: None)
    assert (tmp_path / "run" / "stage1.safetensors").is_file()


VALUES = {
    "null": None,
    "list": [[]],
    "text": "7",
    "yes": True,
    "nan": math.nan,
    "below": -1,
    "tensor": torch.ones(2),
}


def wrong_parts():
    for name in (*SNAPSHOT, "stage1", "optimizer"):
        yield pytest.param(name, "absent", id=f"{name}: absent")
        for kind, value in VALUES.items():
            yield pytest.param(name, value, id=f"{name}: {kind}")


@pytest.mark.parametrize("name, value", list(wrong_parts()))
def test_a_part_of_a_checkpoint_that_cannot_be(stopped, tmp_path, name, value):
    def change(saved):
        if isinstance(value, str) and value == "absent":
            del saved[name]
        else:
            saved[name] = value

    refused(lambda: go_on(stopped, tmp_path / "run", change), "checkpoint.pt was not written by this posegen")
    assert (tmp_path / "run" / "checkpoint.pt").exists(), "it was overwritten"


@pytest.mark.parametrize("part", ("stage1", "average of the optimizer"))
@pytest.mark.parametrize("kind", [kind for kind in TENSORS if kind != "too large for 32 bits"])
def test_numbers_in_a_checkpoint_that_are_none(stopped, tmp_path, part, kind):
    if part != "stage1" and ("infinite" in kind or kind == "a single one"):
        return  # an average may overflow, and a single number is a count of steps

    def change(saved):
        place = saved["stage1"] if part == "stage1" else saved["optimizer"]["state"][0]
        key = KEYS[1] if part == "stage1" else "exp_avg"
        place[key] = TENSORS[kind](place[key])

    refused(lambda: go_on(stopped, tmp_path / "run", change), "checkpoint.pt was not written by this posegen")


def replaced(saved, *path):
    "A change that puts the last word of a path into its place."
    *way, last, value = path
    for name in way:
        saved = saved[name]
    saved[last] = value


CHANGES = {
    "a history of text": partial(replaced, path=("history", [{"step": "one"}])),
    "a history of lists": partial(replaced, path=("history", [[1]])),
    "a field of text": partial(replaced, path=("config", "width", "wide")),
    "a field too many": partial(replaced, path=("config", "widht", 4)),
    "random numbers of Python": partial(replaced, path=("random", "python", (3, (1, 2), None))),
    "random numbers of numpy": partial(replaced, path=("random", "numpy", ("MT19937", [1]))),
    "random numbers of torch": partial(replaced, path=("random", "torch", torch.zeros(3))),
    "no random numbers": partial(replaced, path=("random", {})),
    "groups of an optimiser": partial(replaced, path=("optimizer", "param_groups", [])),
    "a state of an optimiser": partial(replaced, path=("optimizer", "state", {0: 1})),
    "a state of no weight": partial(replaced, path=("optimizer", "state", {999: {"exp_avg": torch.ones(3)}})),
    "a repeated weight": partial(replaced, path=("stage1", KEYS[1], torch.ones(1).expand(10**6, 10**6))),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_something_deep_in_a_checkpoint(stopped, tmp_path, kind):
    path = CHANGES[kind].keywords["path"]
    refused(
        lambda: go_on(stopped, tmp_path / "run", lambda saved: replaced(saved, *path)),
        "checkpoint.pt|configuration field",
    )


class Harm:
    "Runs a program where a pickle of it is trusted."

    def __reduce__(self):
        return os.system, (f"touch {Harm.trace}",)

    trace = ""


def signed(body):
    return b"posegen checkpoint 1 " + hashlib.sha256(body).hexdigest().encode() + b"\n" + body


def archived(**parts):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", parts.pop("packing", zipfile.ZIP_STORED)) as archive:
        for name, content in parts.items():
            archive.writestr(f"archive/{name.replace('_', '.')}", content)
    return buffer.getvalue()


def test_a_pickle_is_never_executed(tmp_path):
    Harm.trace = str(tmp_path / "trace")
    buffer = io.BytesIO()
    torch.save({"done": Harm()}, buffer)
    bodies = {
        "torch": buffer.getvalue(),
        "pickle": pickle.dumps(Harm()),
        "archive": archived(data_pkl=pickle.dumps(Harm()), version="3"),
        "old torch": pickle.dumps(119547037146038801333356) + pickle.dumps(1001) + pickle.dumps(Harm()),
    }
    for body in bodies.values():
        path = tmp_path / "checkpoint.pt"
        path.write_bytes(signed(body))
        refused(lambda: read_checkpoint(path), "was not written by this posegen")
        refused(lambda: describe(path), "was not written by this posegen")
        path.write_bytes(body)  # without our first line
        refused(lambda: read_checkpoint(path), "not a checkpoint")
        refused(lambda: describe(path), "no training checkpoint")
        assert not os.path.exists(Harm.trace)


BODIES = {
    "nothing": b"",
    "text": b"hello",
    "an empty archive": archived(),
    "no pickle in it": archived(a="b"),
    "an empty pickle": archived(data_pkl=b"", version="3"),
    "a cut pickle": archived(data_pkl=pickle.dumps({"a": 1})[:5], version="3"),
    "a list": archived(data_pkl=pickle.dumps([1], 2), version="3"),
    "packed": archived(data_pkl=pickle.dumps({"a": 1}, 2), zeros=bytes(10**8), packing=zipfile.ZIP_DEFLATED),
    "half an archive": archived(data_pkl=pickle.dumps({"a": 1}, 2))[:60],
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_signed_file_that_is_no_checkpoint(tmp_path, kind):
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(signed(BODIES[kind]))
    refused(lambda: load_checkpoint(path), "was not written by this posegen")


def test_a_pipe_is_no_checkpoint(tmp_path):
    os.mkfifo(tmp_path / "checkpoint.pt")
    with within_bounds(5):
        refused(lambda: load_checkpoint(tmp_path / "checkpoint.pt"), "is a pipe")


# Manifests and stamps


@pytest.mark.parametrize(
    "facts",
    [
        dict(config={}, steps={}),
        dict(config={}, steps={"a": 1}, data={}),
        dict(
            config={}, steps={"a": {"seconds": "x", "finished": 1}}, data=dict(source="a", store_sha256="b")
        ),
        dict(config={}, steps={}, data=[]),
        dict(config={"size": "a"}, steps={}, data=dict(source="a", store_sha256="b")),
        dict(config={}, steps={}, data=dict(source="a", store_sha256="b"), versions_of_last_call=[1]),
    ],
)
def test_a_manifest_that_is_none(tmp_path, facts):
    (tmp_path / "manifest.json").write_text(json.dumps(facts))
    refused(lambda: describe(tmp_path / "manifest.json"))


@pytest.mark.parametrize(
    "content", [b"[", b"[]", b"{}", b'{"seconds": "a"}', b"[" * 10**5, b'{"seconds":1e999}']
)
def test_a_stamp_that_is_none(tmp_path, content):
    (tmp_path / "stamp.json").write_bytes(content)
    refused(lambda: describe(tmp_path))
