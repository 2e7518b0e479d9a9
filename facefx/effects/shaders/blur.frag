// A Gaussian blur of 7 by 7 points. amount: that deviation, up to a tenth of the
// face.
vec3 effect(vec2 at) {
    float sigma = unit * amount * 0.1;
    vec3 sum = vec3(0.0);
    float weights = 0.0;
    for (int row = -3; row <= 3; row++)
        for (int column = -3; column <= 3; column++) {
            vec2 away = vec2(column, row) * 0.85;
            float weight = exp(-0.5 * dot(away, away));
            sum += weight * yuv(at + away * sigma);
            weights += weight;
        }
    return sum / weights;
}
