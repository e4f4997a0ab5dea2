from benchmarks import _zigzag


def test_a_layer_is_a_convolution_with_its_sizes():
    (layer,) = _zigzag.workload([3, 16, 5, 8, 4])
    sizes = dict(zip(layer["loop_dims"], layer["loop_sizes"], strict=True))
    assert sizes == {"B": 1, "K": 16, "C": 3, "OY": 8, "OX": 4, "FY": 5, "FX": 5}


def test_the_array_has_rows_for_inputs_and_columns_for_outputs():
    array = _zigzag.accelerator(64, 32)["operational_array"]
    assert array["sizes"] == [32, 64]  # outputs lie on the first dimension of the mapping, inputs on the second
    assert _zigzag.MAPPING[0]["spatial_mapping_hint"] == {"D1": ["K"], "D2": ["C", "FX", "FY"]}
    assert (array["input_precision"], array["bit_serial_precision"], array["adc_resolution"]) == ([8, 1], 8, 8)
