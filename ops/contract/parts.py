"""Reads the parts of the contract so that every key knows its line, and writes the bundled document."""

import re

import yaml

WIDTH = 120


class ContractError(Exception):
    """A mistake in a part. Its text names the file, the line and the key."""


class Mapping(dict):
    """A mapping of a part, which knows where each of its keys is written."""

    file, path, line, lines = "a rule of the bundler", "", 0, {}

    @classmethod
    def described(cls, written, **others):
        """A mapping of which the description may be all that is written; `others` is what it has otherwise."""
        result = cls(others | ({"description": written} if isinstance(written, str) else written))
        if isinstance(written, cls):
            result.file, result.path, result.line, result.lines = written.file, written.path, written.line, written.lines
        return result

    def place(self, key=""):
        """The file, the line and the path of a key, as messages show them."""
        path = ".".join(filter(None, (self.path, key)))
        return f"{self.file}:{self.lines.get(key, self.line)}: {path}"

    def fail(self, key, message):
        raise ContractError(f"{self.place(key)}: {message}")

    def require(self, key):
        return self[key] if key in self else self.fail(key, "is missing")

    def only(self, keys):
        """Refuses every key that is not one of these, unless it begins with `x-`."""
        for key in self:
            if key not in keys and not key.startswith("x-"):
                self.fail(key, "unknown key")
        return self


def read(path, name):
    """The content of a part. `name` is what messages call the file."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        raise ContractError(f"{name}:{error.problem_mark.line + 1}: {error.problem}") from None
    if not isinstance(node, yaml.MappingNode):
        raise ContractError(f"{name}:1: a part is a mapping")
    return _value(node, name, "")


def _value(node, file, path):
    if isinstance(node, yaml.SequenceNode):
        return [_value(child, file, path) for child in node.value]
    if isinstance(node, yaml.ScalarNode):
        return scalar(node)
    result = Mapping()
    result.file, result.path, result.line, result.lines = file, path, node.start_mark.line + 1, {}
    for key_node, child in node.value:
        # A status is a name in OpenAPI, although it looks like a number.
        key = key_node.value
        if key in result:
            raise ContractError(f"{file}:{key_node.start_mark.line + 1}: {path}.{key}: is written twice")
        result.lines[key] = key_node.start_mark.line + 1
        result[key] = _value(child, file, f"{path}.{key}".lstrip("."))
    return result


def scalar(node):
    """The value of a scalar in YAML 1.2's core schema, in which times and `off` are texts and need no quotes."""
    kind, text = node.tag.rpartition(":")[2], node.value
    if kind == "null":
        return None
    if kind == "bool" and text in ("true", "false"):
        return text == "true"
    if kind == "int" and re.fullmatch("-?(?:0|[1-9][0-9]*)", text):
        return int(text)
    return float(text) if kind == "float" else text


class _Dumper(yaml.SafeDumper):
    """Writes block style without aliases. Readers of YAML 1.1 and of YAML 1.2 find the same values in it, and so does
    the reader of the Swift tests, which knows no aliases and takes every plain integer for a number."""

    def ignore_aliases(self, data):
        return True

    def increase_indent(self, flow=False, indentless=False):
        return super().increase_indent(flow, False)


def _text(dumper, text):
    folds = len(text) > WIDTH - 30 and " " in text and text.isprintable()
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, "|" if "\n" in text else ">" if folds else None)


def _list(dumper, items):
    on_one_line = all(not isinstance(item, (dict, list)) for item in items) and len(str(items)) < WIDTH - 40
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=on_one_line)


# A text that some reader would take for a number is written in quotes.
_NUMBER = re.compile(r"^[-+]?(?:0[xo][0-9a-fA-F]+|[0-9][0-9_]*(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?)$")
_Dumper.add_implicit_resolver("tag:yaml.org,2002:number", _NUMBER, list("-+0123456789"))
_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)
_Dumper.add_multi_representer(dict, lambda dumper, value: dumper.represent_mapping("tag:yaml.org,2002:map", value.items()))


def dump(document):
    """The bundled document as text, with an empty line before each path."""
    text = yaml.dump(document, Dumper=_Dumper, allow_unicode=True, width=WIDTH, sort_keys=False)
    return re.sub("(?<!paths:)\n(?=  /)", "\n\n", text)
