// A Gaussian blur of 9 by 9 points. amount: its standard deviation, up to a twentieth of the face.
vec3 effect(vec2 at) {
    float sigma = unit * amount * 0.05;
    vec3 sum = vec3(0.0);
    float weights = 0.0;
    for (int row = -4; row <= 4; row++)
        for (int column = -4; column <= 4; column++) {
            vec2 away = vec2(column, row) * 0.65;
            float weight = exp(-0.5 * dot(away, away));
            sum += weight * yuv(at + away * sigma);
            weights += weight;
        }
    return sum / weights;
}
