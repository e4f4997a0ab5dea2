from analognas.search_spaces.structure import AnalogLayer, Structure


def test_layers_and_sums_by_hand():
    conv = AnalogLayer("stem.conv", "conv", 3, 8, 5, 2, 16, 10, False, 1)
    assert (conv.rows, conv.columns, conv.weights, conv.params) == (75, 8, 600, 600)
    assert conv.macs == 600 * 160
    linear = AnalogLayer("head.linear", "linear", 8, 10, 1, 1, 1, 1, True, 2)
    assert (linear.rows, linear.weights, linear.params, linear.macs) == (8, 80, 90, 80)
    structure = Structure((conv, linear), 16, 2, 2, 0, ())
    assert structure.params == 600 + 90 + 16
    assert structure.weights == 680
    assert structure.macs == 96080
