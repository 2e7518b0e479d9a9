// What every shader is given; docs/shaders.md explains it. PLANE is 0 in the pass that makes luma and 1 in
// the pass that makes U and V: what a pass does not need, the compiler leaves out.

// The patch: luma pixels of the stored picture, y downwards, (0, 0) its upper left corner.
uniform vec2 size;      // of the patch
uniform vec2 origin;    // where the patch lies in the picture
uniform vec4 box;       // of the face: left, top, right, bottom
uniform float unit;     // the longer side of the box: measure lengths in it, never in pixels
uniform vec2 up;        // towards the top of the picture as viewers see it, of length 1
uniform vec2 right;     // towards its right

uniform float seconds;  // of the frame's time in its stream
uniform float strength; // how much of the result is mixed in afterwards; for knowledge only
uniform float amount;   // 0..1, the shader's own to use
uniform uvec2 seed;     // 64 bits: of the person, the same in every frame
uniform int landmarks;  // how many points landmark() has; 0 where none are known

// Codes: a texture holds code / peak, exactly.
uniform float peak;     // 255 where samples have 8 bits, else 65535
uniform vec2 luma_codes;   // of black and of white
uniform vec3 chroma_codes; // lowest, grey, highest
uniform mat3 rgb_of_yuv;
uniform mat3 yuv_of_rgb;

uniform sampler2D luma_plane;   // one component
uniform sampler2D chroma_plane; // two: U, V
uniform sampler2D mask_plane;   // how much of each luma pixel is replaced
uniform sampler2D mesh;         // a row of points

// For the functions below only: how far chroma samples, and lines of one field, lie apart.
uniform vec2 chroma_step;
uniform float fields;
uniform float field;

vec2 _place(vec2 at, vec2 apart, sampler2D plane) {
    vec2 texels = at / apart;
    texels.y = (texels.y - 0.5 - field) / fields + 0.5;
    vec2 count = ceil(size / apart);
    count.y = ceil((count.y - field) / fields);
    return clamp(texels, vec2(0.5), max(count - 0.5, vec2(0.5))) / vec2(textureSize(plane, 0));
}

// Luma, 0 black to 1 white; between pixels it is interpolated, beyond the patch its edge goes on.
float luma(vec2 at) {
    float code = textureLod(luma_plane, _place(at, vec2(1.0), luma_plane), 0.0).r * peak;
    return (code - luma_codes.x) / (luma_codes.y - luma_codes.x);
}

// U and V, each -0.5..0.5; grey where the stream has no colours.
vec2 chroma(vec2 at) {
    if (chroma_step.x == 0.0)
        return vec2(0.0);
    vec2 code = textureLod(chroma_plane, _place(at, chroma_step, chroma_plane), 0.0).rg * peak;
    return (code - chroma_codes.y) / (chroma_codes.z - chroma_codes.x);
}

vec3 yuv(vec2 at) {
    return vec3(luma(at), chroma(at));
}

// Non-linear red, green and blue, 0..1.
vec3 to_rgb(vec3 yuv) {
    return rgb_of_yuv * yuv;
}

vec3 to_yuv(vec3 rgb) {
    return yuv_of_rgb * rgb;
}

// How much of a place is replaced, 0..1.
float mask(vec2 at) {
    return textureLod(mask_plane, clamp(at, vec2(0.5), size - 0.5) / vec2(textureSize(mask_plane, 0)), 0.0).r;
}

// A point of the mesh: x and y as `at`, z scaled like x, smaller is nearer.
vec3 landmark(int i) {
    return texelFetch(mesh, ivec2(i, 0), 0).xyz;
}

// What the shader defines: Y, U and V at a place.
vec3 effect(vec2 at);

out vec4 _codes;

void main() {
    vec2 cell = floor(gl_FragCoord.xy);
    cell.y = cell.y * fields + field;
    vec2 apart = PLANE == 0 ? vec2(1.0) : chroma_step;
    vec3 made = effect((cell + 0.5) * apart);
    vec3 codes = vec3(mix(luma_codes.x, luma_codes.y, made.x),
                      chroma_codes.y + made.yz * (chroma_codes.z - chroma_codes.x));
    codes = clamp(floor(codes + 0.5), vec3(luma_codes.x, chroma_codes.xx), vec3(luma_codes.y, chroma_codes.zz));
    _codes = PLANE == 0 ? vec4(codes.x / peak) : vec4(codes.yz / peak, 0.0, 0.0);
}
