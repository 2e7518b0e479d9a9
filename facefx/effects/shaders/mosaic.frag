// Cells that lie still in the picture, each the mean of 4 by 4 points. amount: the size of one, up to a quarter of
// the face; of whole pixels, so that it does not change whenever the box stirs.
vec3 effect(vec2 at) {
    float side = max(floor(unit * mix(0.01, 0.25, amount) + 0.5), 2.0);
    vec2 corner = floor((at + origin) / side) * side - origin;
    vec3 sum = vec3(0.0);
    for (int row = 0; row < 4; row++)
        for (int column = 0; column < 4; column++)
            sum += yuv(corner + (vec2(column, row) + 0.5) * side / 4.0);
    return sum / 16.0;
}
