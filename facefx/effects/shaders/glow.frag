// What is bright shines over what lies around it. amount: how much.
vec3 effect(vec2 at) {
    vec3 old = yuv(at);
    if (PLANE == 1)
        return old;
    float shine = 0.0;
    // Points of a sunflower: evenly spread over a disc, thinning out towards its rim.
    for (int i = 1; i <= 24; i++) {
        float turn = 2.39996323 * float(i);
        float reach = unit * 0.12 * float(i) / 24.0;
        shine += smoothstep(0.35, 0.9, luma(at + reach * vec2(cos(turn), sin(turn)))) / 24.0;
    }
    float light = amount * shine;
    return vec3(1.0 - (1.0 - old.x) * (1.0 - light), old.yz * (1.0 - 0.3 * light));
}
