"""Taichi's lightened front end: still the pinned version's, and its errors still say where."""

import linecache
import re

import pytest
import taichi as ti
from taichi.lang import kernel_impl

from engine import device, frontend


def test_it_is_in_place():
    assert kernel_impl._inside_class is frontend._inside_class


def test_an_error_in_a_kernel_names_file_line_and_function():
    @device.kernel
    def broken():
        for i in range(3):
            nowhere[i] = 1  # noqa: F821

    with pytest.raises(ti.TaichiCompilationError) as caught:
        broken()
    *_, (file, line) = re.findall(r'File "(.+)", line (\d+), in broken', str(caught.value))
    assert "nowhere[i] = 1" in linecache.getline(file, int(line))


def test_kernels_of_classes_are_still_known():
    device.device()

    @ti.data_oriented
    class Counter:
        def __init__(self):
            self.step = 3

        @ti.kernel
        def after(self, n: ti.i32) -> ti.i32:
            return n + self.step

    assert Counter().after(4) == 7
