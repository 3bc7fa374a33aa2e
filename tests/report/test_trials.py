"Trials of the claims: both stages at once in several parts, and everything in 64 bits."

from pathlib import Path

import pytest
import torch
from boxes import write_boxes
from safetensors.torch import load_file

from posegen.core import Config, preset
from posegen.data.store import Store, open_store
from posegen.report.claims import held_out_pairs
from posegen.report.trials import GAMES, play, train_discriminator, train_together
from posegen.training import train_stage1

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return open_store(write_boxes(tmp_path_factory.mktemp("trials") / "store.h5"))


def config(**fields) -> Config:
    return preset("test", critic_norm="none", stage1_steps=6, triplet_reconstruction_weight=300.0, **fields)


def weights(folder: Path, name: str) -> torch.Tensor:
    return torch.cat([weight.flatten() for weight in load_file(folder / f"{name}.safetensors").values()])


def test_both_stages_in_parts_learn_what_they_learn_in_one(store, tmp_path):
    "In parts, too, G1 learns from the game and not from its own loss alone."
    for parts in (1, 2):
        train_together(config(accumulation=parts), "triplet", store, tmp_path / f"parts{parts}", CPU)
    train_stage1(config(), store, tmp_path / "alone", CPU)
    whole, in_parts, alone = (weights(tmp_path / name, "stage1") for name in ("parts1", "parts2", "alone"))
    the_game = (whole - alone).abs().mean()
    assert (whole - in_parts).abs().mean() < 0.05 * the_game
    assert the_game > 1e-5


def test_both_stages_in_parts_are_exactly_one_whole_in_64_bits(store, tmp_path):
    for parts in (1, 2):
        fields = dict(accumulation=parts, precision="float64")
        train_together(config(**fields), "triplet", store, tmp_path / f"parts{parts}", CPU)
    for name in ("stage1", "stage2"):
        whole, in_parts = (weights(tmp_path / f"parts{parts}", name) for parts in (1, 2))
        assert whole.dtype == torch.float64
        assert (whole - in_parts).abs().max() < 1e-9


@pytest.mark.parametrize("game", GAMES)
def test_games_are_played_and_looked_at_in_64_bits(store, tmp_path, game):
    exact = config(precision="float64")
    train_stage1(exact, store, tmp_path, CPU)
    looks = play(exact, game, store, tmp_path, (0, 2), held_out_pairs(store, 4), device=CPU)
    assert [look.step for look in looks] == [0, 2] and looks[-1].values


@pytest.mark.parametrize("opponent", ["coarse", "identity"])
def test_a_discriminator_alone_learns_in_64_bits(store, tmp_path, opponent):
    exact = config(precision="float64")
    train_stage1(exact, store, tmp_path, CPU)
    logits = train_discriminator(
        exact, "triplet", store, tmp_path, opponent, 2, held_out_pairs(store, 4), CPU
    )
    assert {values.dtype.name for values in logits.values()} == {"float64"}
