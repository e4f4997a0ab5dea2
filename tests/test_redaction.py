import pytest

from analognas.redaction import redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://anna:secret@host:5000/x", "http://***@host:5000/x"),
        ("postgresql+psycopg2://anna:se@cr:et@db/mlflow failed", "postgresql+psycopg2://***@db/mlflow failed"),
        ("ssh://anna@host/srv", "ssh://***@host/srv"),
        ("https://host/a?sig=secret&x=1", "https://host/a?sig=***&x=1"),
        ("s3://bucket?access_key=secret", "s3://bucket?access_key=***"),
        ("AWS_SECRET_ACCESS_KEY=secret is wrong", "AWS_SECRET_ACCESS_KEY=*** is wrong"),
        ("AWS_ACCESS_KEY_ID: secret", "AWS_ACCESS_KEY_ID: ***"),
        ("MLFLOW_TRACKING_PASSWORD = secret", "MLFLOW_TRACKING_PASSWORD = ***"),
        ("{'Authorization': 'Bearer secret'}", "{'Authorization': '***'}"),
        ("header authorization: Basic secret", "header authorization: ***"),
        ("token: secret", "token: ***"),
        ("two: http://a:secret@b and ftp://c:secret@d", "two: http://***@b and ftp://***@d"),
    ],
)
def test_what_may_be_a_secret_is_hidden(text: str, expected: str):
    assert redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:5000/#/experiments",
        "sqlite:////home/me/mlflow.db",
        "password authentication failed for user anna",
        "write to team@example.org",
        "design: resnet, monkey: 3, kernel_size0: 5",
        "The key 0123abcd.json is damaged: restore it.",
    ],
)
def test_everything_else_stays(text: str):
    assert redact(text) == text
