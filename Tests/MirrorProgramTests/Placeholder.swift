import Testing

@Test func placeholderMirrorProgramTests() {}
