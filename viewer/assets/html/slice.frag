#version 300 es
// A slice with its labels, as viewer/slices.py draws it: each pixel has the label that fills most of it, borders are one
// pixel wide. NiiVue sets the uniforms (it finds one a line); its own
// shader leaves labels in steps as large as voxels.
precision highp int;
precision highp float;
uniform highp sampler3D volume;
uniform highp sampler3D drawing;
uniform highp sampler2D colormap;
uniform int axCorSag;
uniform float drawRimOpacity;
in vec3 texPos;
out vec4 color;

float labelOf(ivec3 voxel) {
  return texelFetch(drawing, clamp(voxel, ivec3(0), textureSize(drawing, 0) - 1), 0).r;
}

// of the four voxels around a place in the plane, weighted as by linear interpolation
float labelAt(vec3 place) {
  vec3 at = place * vec3(textureSize(drawing, 0)) - 0.5;
  ivec3 across = axCorSag == 2 ? ivec3(0, 1, 0) : ivec3(1, 0, 0);
  ivec3 along = axCorSag == 0 ? ivec3(0, 1, 0) : ivec3(0, 0, 1);
  ivec3 inPlane = across + along;
  ivec3 first = ivec3(floor(at)) * inPlane + ivec3(round(at)) * (1 - inPlane);
  vec3 far = fract(at);
  float u = dot(far, vec3(across)), v = dot(far, vec3(along));
  vec4 labels = vec4(labelOf(first), labelOf(first + across), labelOf(first + along), labelOf(first + inPlane));
  if (labels == labels.yzwx) return labels.x;
  vec4 shares = vec4((1.0 - u) * (1.0 - v), u * (1.0 - v), (1.0 - u) * v, u * v);
  float best = 0.0, most = 0.0;
  for (int i = 0; i < 4; i++) {
    float share = dot(shares, vec4(equal(labels, vec4(labels[i]))));
    if (share > most) {
      most = share;
      best = labels[i];
    }
  }
  return best;
}

// the colours of labels are the table's last row
vec4 colorOf(float label) {
  float rows = float(textureSize(colormap, 0).y);
  return texture(colormap, vec2((label * 255.0 + 0.5) / 256.0, (rows - 0.5) / rows));
}

void main() {
  color = vec4(texture(volume, texPos).rgb, 1.0);
  vec3 right = dFdx(texPos), down = dFdy(texPos); // a pixel's size; asked before any branch, as it must be
  float label = labelAt(texPos);
  vec4 tint = colorOf(label);
  if (label == 0.0 || tint.a == 0.0) return;
  bool border = drawRimOpacity >= 0.0 && (labelAt(texPos + right) != label || labelAt(texPos - right) != label ||
    labelAt(texPos + down) != label || labelAt(texPos - down) != label);
  float share = border ? drawRimOpacity : tint.a;
  color.rgb = mix(color.rgb, tint.rgb, share);
}
