"""Devices: what there is, what is missing and why, and the errors."""

import os
import subprocess
import sys

import pytest

import diffrt_aot as dr


def test_the_cpu_is_first():
    details = dr.device_details()
    assert dr.devices() == [d.device for d in details]
    assert details[0].device == "cpu" and details[0].driver == dr.info()["isa_level"]
    assert all(d.name and d.memory > 0 for d in details)
    assert dr.info()["devices"] == dr.devices()


def test_what_is_missing_has_a_reason():
    listed = {d.split(":")[0] for d in dr.devices()} | {d.split(":")[0] for d in dr.missing_devices()}
    assert listed == {"cpu", "cuda", "vulkan"}
    code = (
        "import diffrt_aot as dr; missing = dr.missing_devices();"
        "assert dr.devices() == ['cpu'], dr.devices();"
        "assert missing['cuda'] == '/nowhere/libcuda.so.1 not found', missing;"
        "assert missing['vulkan'] == '/nowhere/libvulkan.so.1 not found', missing"
    )
    drivers = {
        "DIFFRT_CUDA_LIBRARY": "/nowhere/libcuda.so.1",
        "DIFFRT_VULKAN_LIBRARY": "/nowhere/libvulkan.so.1",
    }
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **drivers}, check=True)


@pytest.mark.parametrize("error", [dr.DeviceMemoryError, dr.DeviceLostError])
def test_errors_of_devices_are_one_family(error):
    assert issubclass(error, dr.DeviceError) and issubclass(error, dr.DiffrtError)
