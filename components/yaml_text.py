"""YAML that people write: read once, whatever it is, in bounded depth and without a key that is dropped."""

import yaml

# Parameters have sections in sections. The parser in C ends the whole process at some ten thousand levels.
_DEEPEST = 100
_TOO_DEEP = "it is nested too deeply: there are sections in sections, no more"
_DEEPER = (yaml.SequenceStartEvent, yaml.MappingStartEvent)
_LESS_DEEP = (yaml.SequenceEndEvent, yaml.MappingEndEvent)


def read_yaml(text: str) -> object:
    """The value of a YAML text.

    Raises:
        YAMLError: it is none, is nested too deeply, or a mapping has a key twice, of which YAML would drop the first.
        ValueError: a date that there is not, a number of too many digits.
    """
    _refuse_depth(text)
    loader = yaml.CSafeLoader(text)  # in C: stages read parameters often
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _refuse_key_twice(node)
        value: object = loader.construct_document(node)
        return value
    finally:
        loader.dispose()


def _refuse_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, _DEEPER):
            depth += 1
        elif isinstance(event, _LESS_DEEP):
            depth -= 1
        if depth > _DEEPEST:
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP)


def _refuse_key_twice(root: yaml.Node) -> None:
    seen: set[int] = set()  # a node that has an alias is there several times
    left = [root]
    while left:
        node = left.pop()
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue
        seen.add(id(node))
        if not isinstance(node, yaml.MappingNode):
            left += node.value
            continue
        keys: set[str] = set()
        for key, value in node.value:
            left.append(value)
            if isinstance(key, yaml.ScalarNode) and key.value in keys:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value} is there twice", problem_mark=key.start_mark)
            keys.add(str(key.value))
