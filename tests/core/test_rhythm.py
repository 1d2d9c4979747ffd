from tidings.rhythm import MOST_PACE, slower


def test_each_look_in_vain_doubles_the_pause_up_to_four_times_the_cadence():
    paces = [1.0]
    for _ in range(4):
        paces.append(slower(paces[-1]))
    assert paces == [1.0, 2.0, 4.0, MOST_PACE, MOST_PACE]


def test_no_pause_is_shorter_than_the_cadence():
    assert slower(0.1) == 1.0
