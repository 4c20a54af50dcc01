import Testing

@Test func placeholderControlTests() {}
