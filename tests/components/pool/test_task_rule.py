import pytest

from components.parameters.parameters import TaskRule
from components.pool.task_rule import NoTaskError, derive_task


@pytest.mark.parametrize(
    ("rule", "task"),
    [
        ({"field": "kind"}, "vqa"),
        ({"prefix": True}, "coco"),
        ({"pattern": r"/(?P<task>[a-z]+)2017/"}, "train"),
        ({"constant": "all"}, "all"),
    ],
)
def test_each_rule_finds_its_task(rule, task):
    fields = {"kind": " vqa "}
    assert derive_task(TaskRule(**rule), fields=fields, path="coco/train2017/1.jpg") == task


@pytest.mark.parametrize(
    ("rule", "fields", "path", "message"),
    [
        ({"field": "task"}, {}, "a/b.jpg", "no field 'task'"),
        ({"field": "task"}, {"task": None}, "a/b.jpg", "no field 'task'"),
        ({"field": "task"}, {"task": ["x"]}, "a/b.jpg", "must be text, got list"),
        ({"field": "task"}, {"task": 3}, "a/b.jpg", "must be text, got int"),
        ({"field": "task"}, {"task": "  "}, "a/b.jpg", "is empty"),
        ({"prefix": True}, {}, "b.jpg", "'b.jpg' has no folder"),
        ({"pattern": "^(?P<task>x+)"}, {}, "b.jpg", "does not match 'b.jpg'"),
        ({"pattern": "b(?P<task>x+)?"}, {}, "b.jpg", "must be text, got NoneType"),
    ],
)
def test_a_record_without_a_task_says_why(rule, fields, path, message):
    with pytest.raises(NoTaskError, match=message):
        derive_task(TaskRule(**rule), fields=fields, path=path)
