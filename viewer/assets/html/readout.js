// What lies at a voxel, in the words of viewer/readout.py. Voxels are [x, y, z] on LPS+ axes.
"use strict";

const SIDES = ["RL", "AP", "IS"];

class Reader {
  // subject: what the page holds; images: by name; labels: null where there are none
  constructor(subject, images, labels) {
    this.subject = subject;
    this.images = images;
    this.labels = labels;
  }

  // NIfTI's axes run to the right and to the front instead
  turned([x, y, z]) {
    const [nx, ny] = this.subject.grid.size;
    return [nx - 1 - x, ny - 1 - y, z];
  }

  // mm
  position(voxel) {
    const { axes, origin } = this.subject.grid;
    return origin.map((start, i) => start + voxel.reduce((sum, v, j) => sum + axes[i][j] * v, 0));
  }

  value({ name, unit }, voxel) {
    const number = this.images.get(name).getValue(...this.turned(voxel));
    const few = Math.abs(number) >= 100 || Number.isInteger(number);
    return `${name.toUpperCase()} ${few ? number.toFixed(0) : Number(number.toPrecision(3))} ${unit}`.trim();
  }

  anatomy(voxel) {
    const names = [];
    let one = this.labels && this.subject.structures[this.labels.getValue(...this.turned(voxel)) - 1];
    while (one && !names.includes(one.name)) {
      names.push(one.name);
      one = this.subject.structures[one.parent - 1];
    }
    return names.join(" in ") || "background";
  }

  text(voxel) {
    const place = this.position(voxel).map((mm, i) => `${SIDES[i][Number(mm > 0)]} ${Math.abs(mm).toFixed(1)}`);
    const values = this.subject.images.map((image) => this.value(image, voxel));
    return [`${place.join("  ")} mm`, `voxel ${voxel.join(", ")}`, ...values, this.anatomy(voxel)].join("   ");
  }
}
