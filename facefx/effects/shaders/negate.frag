// The negative.
vec3 effect(vec2 at) {
    vec3 old = yuv(at);
    return vec3(1.0 - old.x, -old.yz);
}
