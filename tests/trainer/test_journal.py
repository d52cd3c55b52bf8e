import pytest

from trainer.journal import Journal, read


def test_the_line_shows_what_share_of_the_last_steps_was_waiting(tmp_path):
    values = {"loss": 1.0, "dice": 0.5}
    with Journal(tmp_path, 0, 100) as journal:
        for step in range(1, 5):  # one batch in four is waited for
            journal.write(step, {**values, "seconds": 4.0 if step == 1 else 2.0, "wait_share": 0.5 * (step == 1)})
        assert journal.waits == pytest.approx(2.0 / 10.0)
        assert journal._progress.tasks[0].description == "loss 1.000  Dice 0.50  waits 20%"
        journal.write(4, {"held_out_click": 0.7})  # an evaluation is no step
        for step in range(5, 55):
            journal.write(step, {**values, "seconds": 1.0, "wait_share": 0.1})
        assert journal.waits == pytest.approx(0.1)
    assert len(read(tmp_path)) == 55
