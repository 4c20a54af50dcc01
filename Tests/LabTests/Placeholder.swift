import Testing

@Test func placeholderLabTests() {}
