import Testing

@Test func placeholderFastPathTests() {}
