import ast
import inspect
import json
from pathlib import Path

import pytest

from analognas import errors
from analognas.errors import AnalogNASError, AnalogNASWarning, ContentError, HoursError, InputError, StageError

ERRORS = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, Exception)]
RAISED = [one for one in ERRORS if not issubclass(one, Warning)]


def made(error: type[Exception]) -> Exception:
    return error("Why, and what to do.", {}) if error is HoursError else error("Why, and what to do.")


@pytest.mark.parametrize("error", RAISED)
def test_what_a_user_can_mend_ends_with_2_and_everything_else_with_1(error: type[AnalogNASError]):
    assert issubclass(error, AnalogNASError)
    assert error.exit_code == (2 if issubclass(error, InputError) else 1)
    assert (error.exit_code == 1) is (error is AnalogNASError or issubclass(error, StageError | ContentError))


@pytest.mark.parametrize("error", RAISED)
def test_an_error_is_its_sentence_and_its_details_are_json(error: type[AnalogNASError]):
    one = made(error)
    assert str(one) == "Why, and what to do."
    assert isinstance(one, AnalogNASError)
    assert json.loads(json.dumps(one.details)) == ({"fitted": {}} if error is HoursError else {})


def test_the_shortest_run_is_told():
    assert HoursError("No run fits.", {"seconds": 7}).details == {"fitted": {"seconds": 7}}


def test_a_warning_is_no_error():
    assert issubclass(AnalogNASWarning, UserWarning)
    assert not issubclass(AnalogNASWarning, AnalogNASError)


def test_every_exception_of_the_package_derives_from_one_of_these():
    root = Path(errors.__file__).parent
    names = {one.__name__ for one in ERRORS}
    strange = [
        f"{path.relative_to(root)}: {node.name}"
        for path in sorted(root.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and node.name.endswith("Error")
        if not {ast.unparse(base) for base in node.bases} & names and path.name != "errors.py"
    ]
    # A server that is away is a failure with a sentence, a loss that is not finite is a result, what git said becomes a
    # sentence: none of these reaches a user. A branch that is behind is a GitError, which is one of ours.
    assert strange == [
        "tracking/failures.py: AwayError", "training/digital.py: DivergedError",
        "versioning/branch.py: BehindError", "versioning/branch.py: _SaidError",
    ]  # fmt: skip
