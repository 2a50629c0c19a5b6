"""Machines: written, read and told apart."""

from dataclasses import replace

from components.lineage.machine import Machine, machine_differences, read_machine, this_machine


def test_this_machine_survives_the_record_and_equals_itself() -> None:
    machine = this_machine()
    assert machine.cpu
    assert machine.libraries["torch"].startswith("2.")
    assert machine_differences(read_machine(machine.as_json()), this_machine()) == ()


def test_every_difference_is_named() -> None:
    recorded = Machine("Linux x86_64", "A", ("H100",), "3.11.1", {"torch": "1", "numpy": "2"})
    present = replace(recorded, cpu="B", gpus=(), libraries={"torch": "2", "scipy": "1"})
    assert machine_differences(recorded, present) == (
        "CPU: A then, B now",
        "GPUs: H100 then, none now",
        "numpy: 2 then, not installed now",
        "scipy: not installed then, 1 now",
        "torch: 1 then, 2 now",
    )
