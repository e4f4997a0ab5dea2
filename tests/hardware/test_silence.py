import threading

from analognas.hardware.silence import is_silent, sentence, silence, silent


def test_silence_is_of_a_block_or_of_a_thread():
    assert not is_silent()
    with silent():
        assert is_silent()
    assert not is_silent()
    said: list[bool] = []

    def work() -> None:
        silence()
        said.append(is_silent())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == [True]
    assert not is_silent()


def test_a_setting_and_its_layers_are_named():
    assert sentence("forward.noise_management ABS_MAX", "2 of 3 layers").startswith(
        "forward.noise_management ABS_MAX is not computed by the fast analog layers: 2 of 3 layers stay aihwkit's"
    )
