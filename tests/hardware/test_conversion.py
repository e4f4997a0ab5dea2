from __future__ import annotations

import pytest
import torch
from torch import nn

from analognas.errors import HardwareError
from analognas.hardware.conversion import check_convertible, findings, summed_up


def found(model: nn.Module) -> list[tuple[str, str, bool]]:
    return [(finding.kind, finding.layer, finding.ends) for finding in findings(model)]


def sentence(layer: nn.Module) -> str:
    (text,) = [str(finding) for finding in findings(nn.Sequential(layer)) if finding.ends]
    return text


def test_a_network_of_convolutions_and_linear_layers_has_nothing_to_say() -> None:
    assert found(nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2))) == []


def test_a_layer_that_is_registered_twice_is_named_within_blocks_too() -> None:
    block = nn.Sequential(nn.Linear(3, 3))
    assert found(nn.Sequential(block, nn.ReLU(), block)) == [("shared", "2.0", True)]


def test_weights_that_two_layers_share_are_named() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    assert found(model) == [("tied", "1", True)]
    assert "1.weight is 0.weight again" in next(findings(model)).sentence


@pytest.mark.parametrize(
    ("layer", "remedy"),
    [
        (nn.Conv2d(1, 2, 3, padding="same"), "write padding=1."),
        (nn.Conv2d(1, 2, (3, 5), padding="same"), "write padding=(1, 2)."),
        (nn.Conv2d(1, 2, 3, dilation=2, padding="same"), "write padding=2."),
        (nn.Conv2d(1, 2, 3, padding="valid"), "write padding=0."),
        (nn.Conv2d(1, 2, 4, padding="same"), "nn.ZeroPad2d"),
        (nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"), "need zeros and a width in pixels."),
        (nn.Linear(2, 2).half(), "weights of float16"),
        (nn.Linear(2, 2).double(), "return the network with .float()."),
    ],
)
def test_what_cannot_be_analog_comes_with_its_remedy(layer: nn.Module, remedy: str) -> None:
    assert remedy in sentence(layer)


def test_the_remedy_for_padding_is_what_padding_meant() -> None:
    layer, x = nn.Conv2d(1, 2, (3, 5), dilation=(2, 1), padding="same"), torch.randn(1, 1, 9, 9)
    same = nn.Conv2d(1, 2, (3, 5), dilation=(2, 1), padding=(2, 2))
    same.load_state_dict(layer.state_dict())
    assert "padding=2" in sentence(layer)
    torch.testing.assert_close(same(x), layer(x))


def test_grouped_convolutions_are_told_once() -> None:
    model = nn.Sequential(*(nn.Conv2d(4, 4, 1, groups=2) for _ in range(3)))
    assert found(model) == [("grouped", name, False) for name in "012"]
    (told,) = summed_up(list(findings(model)), {})
    assert "each of its 2 groups is a matrix on tiles of its own" in told
    assert "With fewer than 64 weights each, they are not clipped at their deviation in training." in told
    assert told.endswith("(2 more like that.)")
    many, few = (next(findings(nn.Conv2d(2 * width, 2, 3, groups=2))) for width in (8, 7))
    assert [many.kind, "not clipped" in str(many), "not clipped" in str(few)] == ["grouped", False, True]


def test_hooks_would_be_lost() -> None:
    layer = nn.Linear(2, 2)
    layer.register_forward_hook(lambda *_: None)
    assert "remove them first" in sentence(layer)


def test_a_parametrized_layer_stays_digital() -> None:
    layer = torch.nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    assert ("digital", "0", False) in found(nn.Sequential(layer, nn.Linear(2, 2)))


def test_what_has_no_analog_kind_stays_digital_if_that_is_asked() -> None:
    model = nn.Sequential(nn.LSTM(2, 2), nn.Linear(2, 2))
    assert found(model) == [("digital", "0", False)]
    check_convertible(model, others_digital=True)
    with pytest.raises(HardwareError, match=r"'0' \(LSTM\)"):
        check_convertible(model)
    with pytest.raises(HardwareError, match="no Conv2d or Linear"):
        check_convertible(nn.LSTM(2, 2), others_digital=True)


def test_a_token_and_a_scale_are_no_matrices() -> None:
    class Token(nn.Module):
        def __init__(self, *shape: int) -> None:
            super().__init__()
            self.own, self.head = nn.Parameter(torch.ones(shape)), nn.Linear(2, 2)

    for shape, kinds in (((1, 1, 4), []), ((4, 1, 1), []), ((1, 3, 4), ["digital"]), ((1, 4), ["digital"])):
        assert [kind for kind, _, _ in found(Token(*shape))] == kinds
    (said,) = summed_up(list(findings(Token(3, 4))), {"": "Token"})
    assert said.startswith("The network itself (Token) stays digital and exact")


def test_torchs_fast_path_for_transformers_is_to_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(nn.TransformerEncoderLayer(4, 2, 4, batch_first=True))
    assert ("fast path", "0", True) in found(model)
    monkeypatch.setattr(torch.backends.mha, "get_fastpath_enabled", lambda: False)
    assert not any(ends for _, _, ends in found(model))


def test_layers_of_one_class_share_a_sentence() -> None:
    model = nn.Sequential(*(nn.Embedding(2, 2) for _ in range(5)), nn.LSTM(2, 2), nn.Linear(2, 2))
    kinds = {name: type(module).__name__ for name, module in model.named_modules()}
    first, second = summed_up(list(findings(model)), kinds)
    assert first.startswith("'0', '1', '2' and 2 more (Embedding) stay digital and exact")
    assert second.startswith("'5' (LSTM) stays digital and exact")
