// Few shades, the colours kept: 12 where amount is 0, 2 where it is 1.
vec3 effect(vec2 at) {
    float gaps = floor(mix(12.0, 2.0, amount) + 0.5) - 1.0;
    return vec3(floor(luma(at) * gaps + 0.5) / gaps, chroma(at));
}
