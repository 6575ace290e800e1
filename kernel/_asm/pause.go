package main

func pauseFile(c *asm) {
	c.function("pauseAsm", "func(n int)", "pauseAsm executes PAUSE n times; n must be positive.")
	n := c.load("n")
	loop := c.label("loop")
	c.place(loop)
	c.PAUSE()
	c.DECQ(n)
	c.JNZ(loop)
	c.RET()
}
