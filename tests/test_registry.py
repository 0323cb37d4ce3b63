import pytest

from dca_keras._registry import Registry


def add_twice(registry, module):
    for _ in range(2):

        def part():
            pass

        part.__module__ = module
        registry.add("mine", part)
    return part


def test_keeps_the_order_and_gets_by_name():
    registry = Registry("model")
    registry.add("b", list)
    registry.add("a", dict)
    assert registry.names() == ["b", "a"]
    assert registry.get("a") is dict


def test_refuses_a_second_part_of_a_name():
    with pytest.raises(ValueError, match="model 'mine' already, in mypackage"):
        add_twice(Registry("model"), "mypackage")


def test_a_notebooks_cell_may_run_again():
    registry = Registry("model")
    last = add_twice(registry, "__main__")
    assert registry.get("mine") is last


@pytest.mark.parametrize("name", ["", None, 3])
def test_refuses_what_is_no_name(name):
    with pytest.raises(ValueError, match="must be a non-empty string"):
        Registry("model").add(name, list)


def test_an_unknown_name_is_answered_with_the_names():
    registry = Registry("model")
    registry.add("unet", list)
    with pytest.raises(ValueError, match="no model 'net'. Available: unet."):
        registry.get("net")
