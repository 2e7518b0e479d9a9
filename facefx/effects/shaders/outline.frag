// Ink along edges. amount: how faint an edge still gets some.
vec3 effect(vec2 at) {
    float reach = max(unit * 0.006, 0.75);
    vec2 slope = vec2(luma(at + vec2(reach, 0.0)) - luma(at - vec2(reach, 0.0)),
                      luma(at + vec2(0.0, reach)) - luma(at - vec2(0.0, reach)));
    float faint = mix(0.25, 0.03, amount);
    float ink = smoothstep(faint, 2.0 * faint, length(slope));
    return mix(yuv(at), vec3(0.02, 0.0, 0.0), ink);
}
