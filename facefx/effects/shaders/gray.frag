// Without colours.
vec3 effect(vec2 at) {
    return vec3(luma(at), 0.0, 0.0);
}
