"""Where voxels are, for kernels."""

import taichi as ti


@ti.func
def position(axes: ti.template(), origin: ti.template(), x: ti.f32, y: ti.f32, z: ti.f32):
    """World position (mm) of a continuous voxel index."""
    p = ti.math.vec3(origin[0], origin[1], origin[2])
    for j in ti.static(range(3)):
        p[j] += axes[j, 0] * x + axes[j, 1] * y + axes[j, 2] * z
    return p
